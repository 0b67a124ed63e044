"""The open streams of a process: ending them, and which runs have readers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from durable_llm_streams.errors import ShuttingDown, TooManyStreams

#: When to ask again, if a stream was just closed.
_CLOSES_SECONDS = 5.0


class StreamVisitor(NamedTuple):
    """Who reads a stream by a cookie.

    Attributes:
        owner: the visitor.
        signed_at: when the cookie was signed, in seconds.
    """

    owner: str
    signed_at: float


class OpenStreams:
    """The open streams of a process.

    Args:
        store_timeout: seconds that a stream waits for a store that does not answer.
        per_owner: how many an owner may have open at once; 0 for no limit.
    """

    def __init__(self, store_timeout: float = 60.0, per_owner: int = 0) -> None:
        self.store_timeout = store_timeout
        self._open: dict[asyncio.Task[None], StreamVisitor | None] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._per_owner = per_owner
        self._of_owners: Counter[str] = Counter()
        self._followed: dict[str, _Followed] = {}
        self.closing = False

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self, task: asyncio.Task[None], owner: str = "", visitor: StreamVisitor | None = None
    ) -> None:
        """Add the task of a stream; with its visitor if a cookie identified the reader."""
        self._open[task] = visitor
        self._of_owners[owner] += 1

    def remove(self, task: asyncio.Task[None], owner: str = "") -> None:
        """Remove the task of a stream that has ended."""
        self._open.pop(task, None)
        self._ending.discard(task)
        self._of_owners[owner] -= 1
        if not self._of_owners[owner]:
            del self._of_owners[owner]

    def check_room(self, owner: str) -> None:
        """Raise TooManyStreams when an owner has as many streams open as are allowed."""
        if self._per_owner and self._of_owners[owner] >= self._per_owner:
            raise TooManyStreams("streams", self._per_owner, _CLOSES_SECONDS)

    def visitors(self) -> set[str]:
        """The owners whose streams are open because of a cookie."""
        return {visitor.owner for visitor in self._open.values() if visitor is not None}

    def end_visitor(self, owner: str, not_before: float) -> None:
        """End an owner's streams that were opened by cookies which were signed until then.

        Args:
            owner: whose.
            not_before: that time, in seconds; 0 if no cookie became invalid.
        """
        for task, visitor in self._open.items():
            if visitor is None or visitor.owner != owner or task in self._ending:
                continue
            if not_before and visitor.signed_at <= not_before:
                self._ending.add(task)
                task.cancel()

    def is_ending(self, task: asyncio.Task[None]) -> bool:
        """Whether the server has cancelled a stream, so that its body ends cleanly."""
        return self.closing or task in self._ending

    @contextmanager
    def following(self, run_id: str) -> Iterator[None]:
        """Count a reader of a run for the duration of the block."""
        followed = self._followed.setdefault(run_id, _Followed())
        followed.readers += 1
        try:
            yield
        finally:
            followed.readers -= 1
            if not followed.readers:
                del self._followed[run_id]
                followed.unread.set()

    async def has_no_readers(self, run_id: str, seconds: float) -> bool:
        """Whether a run has no readers here, now or within so many seconds.

        A client may disconnect and send its next request at the same time. The server may notice
        the disconnect later than the request.
        """
        followed = self._followed.get(run_id)
        if followed is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await followed.unread.wait()
        except TimeoutError:
            return False
        return True

    def check_open(self) -> None:
        """Raise ShuttingDown when streams no longer open."""
        if self.closing:
            raise ShuttingDown

    def close(self) -> None:
        """End every stream after what it has sent; its client reconnects to another process."""
        self.closing = True
        for task in self._open:
            task.cancel()


class _Followed:
    """A run with readers: how many there are, and an event that is set when there are none."""

    def __init__(self) -> None:
        self.readers = 0
        self.unread = asyncio.Event()
