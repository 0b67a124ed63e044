"""The parts of a message while they are written: events of a source in, records out. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection

from durable_llm_streams import chunks
from durable_llm_streams.source import Citation, File


class PartWriter:
    """Writes the parts of one message.

    Args:
        write: called with each record.
        now: the wall clock, in milliseconds.

    Attributes:
        wrote: whether anything was written since `begin`.
        first_at: when the first part began, in milliseconds; None before.
    """

    def __init__(self, write: Callable[[bytes], None], now: Callable[[], int]) -> None:
        self.wrote = False
        self.first_at: int | None = None
        self._write = write
        self._now = now
        self._kind = ""  # of the open part, "" for none
        self._part = ""
        self._count = 0
        self._known: Collection[str] = ()

    def begin(self, count: int, part: tuple[str, str], known: Collection[str] = ()) -> None:
        """Begin an attempt.

        Args:
            count: how many parts the message has had; the next id follows.
            part: the (kind, id) of the part that is open; ("", "") for none.
            known: addresses of files and citations that the message has already.
        """
        self.wrote = False
        self._known = known
        self._count = max(count, self._count)
        self._kind, self._part = part

    def open(self, kind: str) -> bytes:
        """Open a part of this kind, unless it is open.

        Returns:
            What precedes the JSON string of each of its deltas.
        """
        self.wrote = True
        if kind != self._kind:
            self._close()
            self._count_one()
            self._kind, self._part = kind, f"p{self._count}"
            self._write(chunks.part_start(kind, self._part))
        return chunks.delta_prefix(kind, self._part)

    def delta(self, kind: str, text: str) -> None:
        """Write one delta."""
        self._write(self.open(kind) + chunks.encode(text) + b"}")

    def whole(self, event: File | Citation) -> None:
        """Write a part without deltas.

        A file closes the open part. A citation does not, because it is shown apart from the text.
        """
        if event.url in self._known:
            return
        self.wrote = True
        self._count_one()
        if isinstance(event, File):
            self._close()
            self._write(chunks.file(event.media_type, event.url))
        else:
            self._write(chunks.source_url(f"s{self._count}", event.url, event.title))

    def reset(self) -> None:
        """Discard what the step has so far."""
        self._kind = ""
        self._write(chunks.RESET_STEP)

    def _count_one(self) -> None:
        self._count += 1
        if self.first_at is None:
            self.first_at = self._now()

    def _close(self) -> None:
        if self._kind:
            self._write(chunks.part_end(self._kind, self._part))
            self._kind = ""
