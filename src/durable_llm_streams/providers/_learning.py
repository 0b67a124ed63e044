"""What a refusal teaches about a dialect, so that the question can be asked once more.

1. Only what this package added by itself or by its own settings is changed: never the
   conversation's text, nor a field that the operator put into the body.
2. Each change is made once for a model, and there are few; so they come to an end.
3. What was learned holds for the process, for this model at this address.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from durable_llm_streams.providers import _refusals
from durable_llm_streams.providers._dialect import Dialect, Dialects
from durable_llm_streams.providers._request import RequestOptions, optional_fields
from durable_llm_streams.runs.source import Prompt

logger = logging.getLogger(__name__)

MOST: Final = 4  # changes for one model
_MODELS: Final = 1000  # of which something is remembered

_LIMITS: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


class _Learned(Struct, frozen=True):
    dialect: Dialect
    words: tuple[str, ...] = ()


class Lessons:
    """The dialect of each model at one address, with what refusals taught.

    Args:
        dialects: what is known beforehand.
        options: what the operator wants in every request.
    """

    def __init__(self, dialects: Dialects, options: RequestOptions) -> None:
        self._dialects = dialects
        self._options = options
        self._learned: dict[str, _Learned] = {}

    def dialect(self, model: str) -> Dialect:
        """How a model is asked now."""
        return self._of(model).dialect

    def changes(self, model: str) -> Sequence[str]:
        """What was learned about a model, in words, oldest first."""
        return self._of(model).words

    def learn(self, prompt: Prompt, status: int, text: str) -> bool:
        """Read a refusal.

        Args:
            prompt: what was refused.
            status: the HTTP status.
            text: what the provider said.

        Returns:
            Whether the dialect has changed, so that asking once more is of use.
        """
        known = self._of(prompt.model)
        if len(known.words) >= MOST:
            return False
        for words, changed in self._lessons(known.dialect, prompt, status, text):
            if words not in known.words:
                if len(self._learned) >= _MODELS:
                    self._learned.clear()
                self._learned[prompt.model] = _Learned(changed, (*known.words, words))
                logger.info("The provider wants %s to be asked %s.", prompt.model, words)
                return True
        return False

    def _of(self, model: str) -> _Learned:
        if model not in self._learned:
            self._learned[model] = _Learned(self._dialects.of(model))
        return self._learned[model]

    def _lessons(
        self, dialect: Dialect, prompt: Prompt, status: int, text: str
    ) -> Iterator[tuple[str, Dialect]]:
        field = (_refusals.unsupported_field(status, text) or "").partition(".")[0]
        if field == "stream":
            yield "without streaming", replace(dialect, stream=False)
        elif self._is_ours(field, dialect):
            if field in _LIMITS:
                other = _LIMITS[field]
                yield f"with `{other}`", replace(dialect, max_tokens=other)
                yield "without a limit of tokens", replace(dialect, max_tokens="")
            elif field == "stream_options":
                yield "without `stream_options`", replace(dialect, stream_options=False)
            elif field == "temperature":
                yield "without `temperature`", replace(dialect, temperature=False)
            else:
                yield f"without `{field}`", replace(dialect, effort="none")
        # Neighbours of one role were joined before; what is left of a role problem is the rules'.
        if _refusals.role_rule(status, text) and any(t.role == "system" for t in prompt.turns):
            yield "without a system role", replace(dialect, system=False)

    def _is_ours(self, field: str, dialect: Dialect) -> bool:
        theirs = {**dialect.body, **self._options.extra_body}
        return field not in theirs and field in optional_fields(self._options, dialect, thinks=True)
