"""When a chat answer ends, and with which result.

1. `[DONE]` is an end, with a finish reason or without one. So is a clean end of the connection
   after a finish reason, and the end of one complete JSON answer.
2. A finish reason is firm when it comes without output, after some text: only the usage may follow,
   and nothing can fail. One that comes with output, or before any text, is loose: some
   providers send it in every chunk. A broken connection makes a cut of it.
3. A reason followed by more output is void. From then on every reason of the answer is loose.
4. A reason that names a break makes the answer a cut; an error that follows it is the failure.
5. An end without any output is a failure. It is retried only if the usage reports no output
   tokens, because those are paid.
"""

from __future__ import annotations

from typing import Any

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures

from .finish_reasons import BREAK
from .usage import made_tokens

_THOUGHT_ONLY = (
    "The model thought but gave no answer. Ask again in other words, or choose another model."
)
_MAY_BE_EMPTY = ("length", "content-filter", "tool-calls")


class ChatEnd:
    """Follows one answer to its end.

    Attributes:
        loose: a finish reason that is not firm; "" for none.
        is_broken: whether the provider reported that it broke the answer off.
        is_done: whether the protocol's end was read: `[DONE]`, or one complete JSON answer.
        error: reported after a firm finish reason; it counts if there was no output.
    """

    def __init__(self) -> None:
        self.loose = ""
        self.is_broken = False
        self.error: ModelError | None = None
        self.is_done = False
        self._is_void = False  # a reason of this answer was void

    @property
    def is_near(self) -> bool:
        """Whether there was a reason, or a break, that is not firm."""
        return bool(self.loose) or self.is_broken

    def reason(self, reason: str, *, is_loose: bool) -> str:
        """A finish reason was read.

        Args:
            reason: see `finish_reason`.
            is_loose: whether it came with output, or before any text.

        Returns:
            The reason if it is firm, else "".
        """
        if reason == BREAK:
            self.is_broken = True
            return ""
        if is_loose or self._is_void:
            self.loose = reason
            return ""
        return reason

    def usage(self) -> str:
        """The usage came in its own chunk. Returns the reason that this makes firm, or ""."""
        return "" if self._is_void else self.loose

    def void(self) -> None:
        """Output came after a reason."""
        self._is_void = True
        self.loose, self.is_broken = "", False

    def at(self, *, is_done: bool, has_output: bool) -> str:
        """The answer's end was read. Returns its reason; "" for a cut.

        Args:
            is_done: whether it was the protocol's end: `[DONE]`, or one complete JSON answer.
            has_output: whether there was any output.
        """
        self.is_done = self.is_done or is_done
        if self.is_broken:
            return ""
        return self.loose or ("stop" if is_done and has_output else "")


def empty(reason: str, usage: Any, *, thought: bool) -> ModelError | None:
    """The failure of an answer that ended without output. None if it may be empty.

    Args:
        reason: the finish reason.
        usage: the provider's `usage` object.
        thought: whether there was reasoning.
    """
    if reason in _MAY_BE_EMPTY:
        return None
    failure = failures.empty()
    if thought:
        failure = ModelError(
            _THOUGHT_ONLY,
            meaning=failure.meaning,
            retryable=failure.retryable,
            job_over=failure.job_over,
        )
    if made_tokens(usage):
        failure.retryable = False
    return failure
