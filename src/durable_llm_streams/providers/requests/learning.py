"""Adapts the dialect of a model to a refusal, so that the request can be sent once more.

1. Only what this package added by itself or by its own settings is changed: never the
   conversation's text, nor a field that the operator put into the body.
2. Each change is made once for a model, and there are few changes, so the retries end.
3. A change lasts as long as the process, for this model at this address.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.providers.failures.wordings import TOO_MANY_TOKENS
from durable_llm_streams.source import Prompt

from .dialect import Dialect, Dialects
from .request import RequestOptions, optional_fields

logger = logging.getLogger(__name__)

MOST: Final = 4  # changes for one model
_MODELS: Final = 1000  # of which something is remembered

_LIMITS: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


_LEFT_OUT: Final[dict[str, dict[str, Any]]] = {
    "stream_options": {"stream_options": False},
    "temperature": {"temperature": False},
    "max_tokens": {"max_tokens": ""},
    "max_completion_tokens": {"max_tokens": ""},
    "reasoning_effort": {"effort": "none"},
    "reasoning": {"effort": "none"},
}


class _Learned(Struct, frozen=True):
    dialect: Dialect
    words: tuple[str, ...] = ()


class Lessons:
    """The dialect of each model at one address, adapted to refusals.

    Args:
        dialects: the table of dialects.
        options: the operator's options for every request.
    """

    def __init__(self, dialects: Dialects, options: RequestOptions) -> None:
        self._dialects = dialects
        self._options = options
        self._learned: dict[str, _Learned] = {}

    def dialect(self, model: str) -> Dialect:
        """How a model is asked now."""
        return self._of(model).dialect

    def changes(self, model: str) -> Sequence[str]:
        """The changes for a model, in words, oldest first."""
        return self._of(model).words

    def learn(self, prompt: Prompt, refusal: ModelError, status: int, text: str) -> bool:
        """Read a refusal.

        Args:
            prompt: the refused prompt.
            refusal: its meaning.
            status: the HTTP status; 200 for a failure inside an answer.
            text: the provider's text.

        Returns:
            Whether the dialect has changed, so that a retry is useful.
        """
        known = self._of(prompt.model)
        if len(known.words) >= MOST:
            return False
        field = failures.unsupported_field(status, text) or ""
        if refusal.meaning == "unverified":
            field = "stream"
        has_system = any(turn.role == "system" for turn in prompt.turns)
        found = self._lessons(known, field, status, text, has_system=has_system)
        for words, changed in found:
            if words not in known.words and changed != known.dialect:
                if len(self._learned) >= _MODELS:
                    self._learned.clear()
                self._learned[prompt.model] = _Learned(changed, (*known.words, words))
                logger.info("The provider wants %s to be asked %s.", prompt.model, words)
                return True
        return False

    def begins_thinking(self, model: str) -> None:
        """Remember that a model closed a thought that it had not opened."""
        known = self._of(model)
        self._learned[model] = replace(known, dialect=replace(known.dialect, begins_thinking=True))

    def _of(self, model: str) -> _Learned:
        if model not in self._learned:
            self._learned[model] = _Learned(self._dialects.of(model))
        return self._learned[model]

    def _lessons(
        self, known: _Learned, field: str, status: int, text: str, *, has_system: bool
    ) -> Iterator[tuple[str, Dialect]]:
        """The changes that may help, the likeliest first."""
        dialect = known.dialect
        if field == "stream":
            yield "without streaming", replace(dialect, stream=False)
        elif self._is_ours(field, dialect):
            other = _LIMITS.get(field)
            if other and f"with `{field}`" not in known.words and not _is_about_size(text):
                yield f"with `{other}`", replace(dialect, max_tokens=other)
            yield f"without `{field}`", replace(dialect, **_LEFT_OUT[field])
        # Adjacent messages of one role were joined before. The cause must be the system's message,
        # which some templates count as one of the turns.
        if has_system and failures.role_rule(status, text):
            yield "without a system role", replace(dialect, system=False)

    def _is_ours(self, field: str, dialect: Dialect) -> bool:
        theirs = {**dialect.body, **self._options.extra_body}
        sent = optional_fields(self._options, dialect, thinks=True)
        return field in sent and field not in theirs


def _is_about_size(text: str) -> bool:
    """Whether the limit exceeds the model's own, so that another field name does not help."""
    return TOO_MANY_TOKENS.search(text.lower()) is not None
