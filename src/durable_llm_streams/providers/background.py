"""Which models are asked in background mode."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from durable_llm_streams.errors import InvalidSetting

_HOW = "Write a comma list of PATTERN, and of !PATTERN for models that shall not."


class BackgroundModels(NamedTuple):
    """Rules in order; the first that matches decides, and no match means that a model is not.

    Args:
        rules: pairs of (pattern of the model's id as in a shell, in lower case; whether it is).
    """

    rules: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Read a setting such as `!gpt-5-nano, gpt-5*`. Empty for none.

        Raises:
            InvalidSetting: the text is none of that; the sentence says what to write.
        """
        rules: list[tuple[str, bool]] = []
        for entry in filter(None, map(str.strip, setting.split(","))):
            pattern = entry.removeprefix("!").strip().lower()
            if not pattern or any(mark in pattern for mark in " !="):
                raise InvalidSetting(f"DLS_BACKGROUND: `{entry}` names no model. {_HOW}")
            rules.append((pattern, not entry.startswith("!")))
        return cls(tuple(rules))

    def has(self, model: str) -> bool:
        """Whether a model is one."""
        name = model.lower()
        return next((yes for pattern, yes in self.rules if fnmatchcase(name, pattern)), False)
