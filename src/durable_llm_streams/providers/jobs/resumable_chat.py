"""Chat-completion streams whose bytes the server keeps: where a reader can resume."""

from __future__ import annotations

import re
from typing import Any, Final

from typing_extensions import override

from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.source import Alive, Event, Job

MARK_EVERY: Final = 1024 * 1024  # bytes; the server keeps four times as much

_BLANK = re.compile(rb"\r?\n\r?\n")


class ResumableChatParser(ChatParser):
    """Reads one answer, and counts its bytes.

    A mark is the offset of the byte after a complete event. Marks are rare: a parser that begins in
    the middle knows less about the answer than one that begins at its start.

    Args:
        job: the job to read after its mark.
        mark_every: the least number of bytes between two marks.
        options: see `ChatParser`.

    Attributes:
        job: the job with its last mark.
        ended: the answer's end or a failure was read, not only the connection's end.
    """

    def __init__(self, job: Job, *, mark_every: int = MARK_EVERY, **options: Any) -> None:
        super().__init__(**options)
        self.job = job
        self.ended = False
        self._offset = offset(job)
        self._marked = self._offset
        self._mark_every = mark_every

    @override
    def feed(self, data: bytes) -> list[Event]:
        begin = self._offset
        self._offset += len(data)
        if self._offset - self._marked >= self._mark_every and (ends := _ends(data)):
            events = super().feed(data[:ends])
            if self._plain and not self.done and not self.has_reason:
                self._marked = begin + ends
                self.job = Job(self.job.id, str(self._marked))
                events.append(self.job)
            events += super().feed(data[ends:])
            if not all(isinstance(event, Alive) for event in events):
                events = [event for event in events if not isinstance(event, Alive)]
        else:
            events = super().feed(data)
        self.ended = self.ended or self.done
        return events


def offset(job: Job) -> int:
    """The byte that a job's mark stands for."""
    return int(job.mark) if job.mark.isascii() and job.mark.isdigit() else 0


def _ends(data: bytes) -> int:
    """Where the last complete event in some bytes ends; 0 if none does."""
    return max((found.end() for found in _BLANK.finditer(data)), default=0)
