"""Which models can continue a partial answer (prefill), and how they are asked to.

A model that is listed wrongly either answers HTTP 400 (the step restarts) or begins anew, which
would put a second beginning into the answer. So the table lists only models that document it. The
operator can add others.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, Self, cast, get_args

from msgspec import Struct

from durable_llm_streams.errors import InvalidSetting

PrefillStyle = Literal["plain", "mistral", "vllm"]
"""`plain`: the conversation ends with an assistant message (OpenRouter, llama.cpp, older Claude).
`mistral`: that message also carries `"prefix": true` (Mistral; DeepSeek under its /beta address).
`vllm`: the request also asks to continue the final message (vLLM, SGLang)."""


class PrefillRule(Struct, frozen=True):
    """One line of the table.

    Args:
        pattern: of the model's id, as in a shell (`*`, `?`, `[...]`), in lower case.
        style: how to ask; None for models that cannot.
    """

    pattern: str
    style: PrefillStyle | None


# Anthropic removed prefill with Claude 4.6 (HTTP 400, also through OpenRouter), so no pattern may
# match a later model. Models cannot be prefilled while they think (`:thinking`).
# Mistral documents `prefix` for all its chat models; its API repeats the beginning (see `Seam`).
# Not here: DeepSeek (documented, but only under https://api.deepseek.com/beta, while OpenRouter
# may serve the model from elsewhere), and what vLLM or llama.cpp serve under any name.
DEFAULT_RULES: Final = (
    PrefillRule("*:thinking", None),
    PrefillRule("anthropic/claude-3-*", "plain"),
    PrefillRule("anthropic/claude-3.5-*", "plain"),
    PrefillRule("anthropic/claude-3.7-*", "plain"),
    PrefillRule("anthropic/claude-sonnet-4", "plain"),
    PrefillRule("anthropic/claude-opus-4", "plain"),
    PrefillRule("anthropic/claude-opus-4.1", "plain"),
    PrefillRule("anthropic/claude-sonnet-4.5", "plain"),
    PrefillRule("anthropic/claude-haiku-4.5", "plain"),
    PrefillRule("anthropic/claude-opus-4.5", "plain"),
    PrefillRule("mistralai/*", "mistral"),
)

_HOW = (
    "Write a comma list of PATTERN, PATTERN=STYLE (plain, mistral or vllm), !PATTERN for models "
    "that cannot, and `none` to drop the built-in list."
)


class PrefillTable:
    """Rules in order; the first that matches decides, and no match means that the model cannot.

    A pattern is compared with the id as it is and without its variant (`:free`, `:nitro`).
    """

    def __init__(self, rules: Sequence[PrefillRule] = DEFAULT_RULES) -> None:
        self.rules = tuple(rules)

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Read a setting such as `qwen*=vllm, !mistralai/*, anthropic/claude-3*`.

        Args:
            setting: comma list of `PATTERN[=STYLE]` (style `plain` if omitted), `!PATTERN` for
                models that cannot, and `none`, which drops the defaults. These rules come
                before the defaults. Empty for the defaults alone.

        Raises:
            InvalidSetting: the setting is invalid; the sentence says what to write.
        """
        rules: list[PrefillRule] = []
        defaults: tuple[PrefillRule, ...] = DEFAULT_RULES
        for entry in filter(None, map(str.strip, setting.split(","))):
            if entry.lower() == "none":
                defaults = ()
            else:
                rules.append(_rule(entry))
        return cls((*rules, *defaults))

    def style(self, model: str) -> PrefillStyle | None:
        """How a model is asked to continue; None if it cannot."""
        name = model.lower()
        base = name.rpartition(":")[0] or name
        for rule in self.rules:
            if fnmatchcase(name, rule.pattern) or fnmatchcase(base, rule.pattern):
                return rule.style
        return None


def _rule(entry: str) -> PrefillRule:
    denied = entry.startswith("!")
    pattern, equals, style = entry.removeprefix("!").partition("=")
    pattern, style = pattern.strip().lower(), style.strip().lower()
    if not pattern or " " in pattern or "!" in pattern[:1]:
        raise InvalidSetting(f"`{entry}` names no model. {_HOW}")
    if denied:
        if equals:
            raise InvalidSetting(f"`{entry}` both denies a model and says how to ask it. {_HOW}")
        return PrefillRule(pattern, None)
    if equals and style not in get_args(PrefillStyle):
        raise InvalidSetting(f"`{entry}` names an unknown style. {_HOW}")
    return PrefillRule(pattern, cast("PrefillStyle", style or "plain"))


def trimmed(beginning: str) -> str:
    """The beginning as it is sent: some providers answer 400 to white space at its end."""
    return beginning.rstrip()


def request_fields(style: PrefillStyle, beginning: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The assistant's last message, and more fields of the request's body.

    Args:
        style: how this model is asked.
        beginning: the partial answer, trimmed.
    """
    message: dict[str, Any] = {"role": "assistant", "content": beginning}
    if style == "mistral":
        return message | {"prefix": True}, {}
    if style == "vllm":
        return message, {"continue_final_message": True, "add_generation_prompt": False}
    return message, {}


class Seam:
    """Joins a continuation to its beginning: drops what readers have already.

    First it drops the whole beginning, if the provider repeats it (Mistral does). Text that only
    starts like it is kept. Then it drops the white space that was trimmed from the beginning's end,
    as far as the model writes it again.

    Args:
        beginning: the partial answer, as readers have it.
        echoes: whether the provider may repeat it.

    Attributes:
        open: whether something may still be dropped. Once False, `join` is not needed.
    """

    def __init__(self, beginning: str, *, echoes: bool) -> None:
        begun = trimmed(beginning)
        self._echo = begun if echoes else ""
        self._space = beginning[len(begun) :]
        self._held = ""
        self.open = bool(self._echo or self._space)

    def join(self, text: str) -> str:
        """The next piece of the continuation, without what is dropped or held back ("" if all)."""
        if self._echo:
            self._held += text
            if len(self._held) < len(self._echo) and self._echo.startswith(self._held):
                return ""
            text, self._held = self._held.removeprefix(self._echo), ""
            self._echo = ""
        while text and self._space and text[0] == self._space[0]:
            text, self._space = text[1:], self._space[1:]
        if text or not self._space:
            self.open = False
        return text

    def end(self) -> str:
        """What was held back when the continuation ended: it was not a repetition."""
        held, self._held, self._echo = self._held, "", ""
        return self.join(held) if held else ""
