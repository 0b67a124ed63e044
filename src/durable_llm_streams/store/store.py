"""The Store: the contract that every backend keeps.

Theory of operation
===================
1. A run's log is append-only: records 1, 2, 3, … without holes. Every append names the sequence
   number that it expects to write, so that repeating a call whose outcome is unknown adds nothing.
2. The epoch decides which worker may write: its number and token are compared in the same atomic
   step as the write. A claim raises the number and draws a new token.
3. A lease only decides when another worker may claim a run. It never decides which one may write:
   a worker with an expired lease still writes until another one claims the run, and never after.
4. The end of a run is one atomic step: its last records, its status, the message in the history.
   After it nothing is appended.
5. What a reader gets is committed.
6. Records are opaque: JSON without a line feed.
7. A chat is named by its owner and an id, together. Every operation on behalf of a request names
   the owner, and finds nothing of another one. What is for operators is in `operators` alone.
8. Changes of chats are published in their owner's feed. A feed only notifies; the truth is in the
   chats. It is bounded: when it lacks changes that a subscriber missed, it reports that.
9. The store knows its retention and deletes by itself what has outlived it.

Every operation may raise `StoreUnavailable`; then the outcome is unknown, and repeating the same
call is safe. Other errors mean that nothing was changed.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from .chats import ChatStore
from .feed import FeedStore
from .log import LogStore
from .pace import Pace
from .runs import RunList, RunStore
from .visitors import VisitorStore


class Retention(Struct, frozen=True):
    """How long a store keeps what no user deletes, in seconds that it has seen pass.

    Attributes:
        log: from a run's end until its log is deleted (its message stays).
        chat: from a chat's last change until it is deleted; 0 keeps it for ever.
    """

    log: float = 24 * 3600.0
    chat: float = 365 * 24 * 3600.0


class Store(Protocol):
    """A backend: five services over one database.

    Attributes:
        log: the records of runs.
        runs: accepting messages, claims.
        chats: chats and their history.
        feed: what happens to an owner's chats.
        operators: looks at the runs of all owners; the HTTP server does not use it.
        visitors: who signed out, and links from one device to another.
        pace: how often `log.append` may be called; an argument of the flusher.
    """

    log: LogStore
    runs: RunStore
    chats: ChatStore
    feed: FeedStore
    operators: RunList
    visitors: VisitorStore
    pace: Pace

    async def open(self) -> None:
        """Get ready for the operations, and begin to delete what has outlived its retention.

        Raises:
            StoreUnusable: it is not a store, cannot be reached or written, or is too new.
        """
        ...

    async def meta(self, name: str, default: bytes) -> bytes:
        """A value of the store as a whole. The first call for a name writes the default.

        Atomic: all processes get the same value.

        Args:
            name: lower-case letters, digits and dashes.
            default: what is kept if the store has no value of this name.

        Raises:
            ValueError: the store keeps a value of its own under this name.
        """
        ...

    async def check(self) -> None:
        """Write a value that is never read, on the same path as an append.

        Called often: where a write is dear, one a second is enough.

        Raises:
            StoreUnavailable: it could not be written, or soon cannot be: the disk is full.
        """
        ...

    async def close(self) -> None:
        """Close the connections and files. What was accepted is in the store."""
        ...
