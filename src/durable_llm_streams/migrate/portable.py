"""What a chat consists of, for moving it from one store to another.

Theory of operation
===================
1. A chat is read in two pieces. Its outline is everything but the text: small, and read at one
   moment. Its contents are the messages' bodies and the runs' records, page by page, so that
   neither end ever holds a whole log in memory.
2. A store that is moved is not served, so a run that was being written is at rest: its status in
   the outline is `queued`. Its log, its epoch and its spans are copied; the next claim continues
   from them.
3. A chat is copied as a whole or not at all. If a migration is killed, a partial copy is invisible
   and expires.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import NamedTuple, Protocol, Self

from msgspec import Struct, structs

from durable_llm_streams.model import Chat, Message, Run, Status


class MovedRun(Struct, frozen=True):
    """A run, with the fields that only stores have.

    Attributes:
        run: at rest: it is not running.
        content: the fingerprint of the request with its key.
        next_seq: the sequence number of the log's next record.
        has_log: whether the records exist; they are deleted some time after the run's end.
        age: milliseconds since its end, in the store's own time; 0 before the end.
    """

    run: Run
    content: str
    next_seq: int
    has_log: bool
    age: int = 0


class Outline(Struct, frozen=True):
    """A chat without its text.

    Attributes:
        chat: its active run is left out: it is the first of `runs` that has not ended.
        messages: all branches, oldest first, with empty bodies.
        runs: oldest first.
        age: milliseconds since its last change, in the store's own time.
    """

    chat: Chat
    messages: tuple[Message, ...]
    runs: tuple[MovedRun, ...]
    age: int = 0


class Bodies(NamedTuple):
    """The bodies of some messages.

    Attributes:
        first: the index in the outline of the first body's message.
    """

    first: int
    bodies: Sequence[bytes]


class Records(NamedTuple):
    """Consecutive records of a run's log.

    Attributes:
        first: the sequence number of the first record.
    """

    run_id: str
    first: int
    records: Sequence[bytes]


Content = Bodies | Records


class ChatName(NamedTuple):
    """What identifies a chat in every store."""

    owner: str
    id: str

    @classmethod
    def of(cls, chat: Chat) -> Self:
        """The name of a chat."""
        return cls(chat.owner, chat.id)


class Listing(NamedTuple):
    """Some of the chats of a store.

    Attributes:
        chats: may be empty.
        next: the place of the next page; None at the end.
    """

    chats: Sequence[ChatName]
    next: str | None


class Portable(Protocol):
    """A store whose chats can be read and added, while no server uses it.

    Operations on different chats may run concurrently. Every operation may raise
    `StoreUnavailable`; a retry is safe.

    Attributes:
        name: its address, without a password.
    """

    name: str

    async def refuse_served(self) -> None:
        """Raise StoreLocked if a server is running on the store."""
        ...

    async def count(self) -> int:
        """About how many chats there are."""
        ...

    async def listing(self, place: str = "") -> Listing:
        """The names of chats of all owners, the longest unchanged first, as far as that is cheap.

        Args:
            place: the `next` of the previous listing; "" for the first one.
        """
        ...

    async def outline(self, name: ChatName) -> Outline | None:
        """A chat without its text, at one moment; None if there is no such chat."""
        ...

    def contents(self, outline: Outline) -> AsyncGenerator[Content, None]:
        """A chat's text: all bodies in the messages' order, then each log that exists.

        Raises:
            RunNotFound, CursorLost: a part was deleted meanwhile. Begin again with a new outline.
        """
        ...

    async def add_chat(self, outline: Outline, contents: AsyncIterator[Content]) -> bool:
        """Add a chat from another store.

        Atomic: the whole chat appears, or nothing. An error of `contents` is raised, and then
        nothing is added.

        Returns:
            False: a chat or a run with this id exists already. Nothing was changed.

        Raises:
            CursorLost: `contents` does not hold everything that the outline names.
        """
        ...

    async def secret(self) -> bytes | None:
        """The key that signs the visitors' cookies; None if there is none yet."""
        ...

    async def set_secret(self, secret: bytes) -> None:
        """Replace the key, for the next server."""
        ...

    async def sign_outs(self) -> Sequence[tuple[str, int]]:
        """The owners who signed out everywhere, and the times; see `VisitorStore.sign_out`."""
        ...

    async def add_sign_out(self, owner: str, not_before: int) -> None:
        """Add one of them. Idempotent."""
        ...

    async def close(self) -> None:
        """Close the store."""
        ...


def at_rest(run: Run) -> Run:
    """The run without a writer and a reservation: limits are not migrated."""
    run = structs.replace(run, charges=(), reservations=0)
    if run.status is Status.RUNNING:
        return structs.replace(run, status=Status.QUEUED)
    return run
