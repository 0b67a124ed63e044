"""Which models are asked for jobs, and for which kind."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple, Self, get_args

from durable_llm_streams.errors import InvalidSetting

JobKind = Literal["responses", "llama.cpp"]
KINDS: Final[tuple[JobKind, ...]] = get_args(JobKind)

_HOW = (
    "Write a comma list of PATTERN (OpenAI's background mode), of PATTERN=llama.cpp, "
    "and of !PATTERN for models to exclude."
)


class BackgroundModels(NamedTuple):
    """Rules in order. The first match decides; a model without a match is asked as usual.

    Args:
        rules: pairs of (pattern of the model's id as in a shell, in lower case; the kind of job, or
            None for a model that is asked as usual).
    """

    rules: tuple[tuple[str, JobKind | None], ...] = ()

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Read a setting such as `!gpt-5-nano, gpt-5*, qwen*=llama.cpp`. Empty for none.

        Raises:
            InvalidSetting: the setting is invalid; the sentence says what to write.
        """
        entries = filter(None, map(str.strip, setting.split(",")))
        return cls(tuple(map(_rule, entries)))

    def kind(self, model: str) -> JobKind | None:
        """How a model is asked for a job; None if it is asked as usual."""
        name = model.lower()
        return next((kind for pattern, kind in self.rules if fnmatchcase(name, pattern)), None)


def _rule(entry: str) -> tuple[str, JobKind | None]:
    pattern, is_named, name = map(str.strip, entry.removeprefix("!").partition("="))
    is_barred = entry.startswith("!")
    if not pattern or any(mark in pattern for mark in " !=") or (is_barred and is_named):
        raise InvalidSetting(f"DLS_BACKGROUND: `{entry}` names no model. {_HOW}")
    kind = next((kind for kind in KINDS if kind == (name.lower() or "responses")), None)
    if kind is None or (is_named and not name):
        raise InvalidSetting(f"DLS_BACKGROUND: `{entry}` names no way to keep answers. {_HOW}")
    return pattern.lower(), None if is_barred else kind
