"""The parts of a body that are not events: other text, broken events, lines that are too long."""

from __future__ import annotations

from typing import Final

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures

MAX_BROKEN: Final = 3  # events
_MOST = 4096  # bytes of a text that are kept


class Unreadable:
    """Counts what could not be read in one answer.

    Attributes:
        is_document: whether the body is JSON instead of events.
        is_whole: whether it is one complete answer.
        is_too_long: whether a line was skipped because it is too long.
        text: the beginning of a text that is neither.
    """

    def __init__(self) -> None:
        self.is_document = False
        self.is_whole = False
        self.is_too_long = False
        self.text = b""
        self._broken = b""
        self._count = 0

    def add(self, line: bytes) -> ModelError | None:
        """Keep a line of text. Returns the failure if it can only be a page."""
        self.text = (self.text + line + b"\n")[:_MOST]
        is_page = len(self.text) == _MOST and self.text.lstrip()[:1] == b"<"
        return self.not_a_stream() if is_page else None

    def broken(self, payload: bytes) -> ModelError | None:
        """Skip an event that cannot be read. Returns the failure if there are too many."""
        self._broken = self._broken or payload[:_MOST]
        self._count += 1
        return failures.unreadable(self._broken) if self._count > MAX_BROKEN else None

    def failure(self) -> ModelError | None:
        """What was skipped, as the failure of an answer without text."""
        if self.is_too_long:
            return failures.too_much()
        return failures.unreadable(self._broken) if self._count else None

    def not_a_stream(self) -> ModelError:
        """The failure of a body without any event."""
        return failures.not_a_stream(self.text.decode(errors="replace"))
