"""What a chat consists of, for moving it from one store to another.

Theory of operation
===================
1. A chat comes in two pieces. Its outline is everything but the text: small, and read at one
   moment. Its contents are the messages' bodies and the runs' records, in portions, so that neither
   end ever holds a long log as a whole.
2. A store that is moved is not served, so a run that was being written is at rest: its outline
   says `queued`. Its log, its epoch and its spans go with it; the next claim counts on from there.
3. A chat arrives as a whole or not at all. What was copied of one when its migration was killed is
   seen by nobody and goes by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct, structs

from durable_llm_streams.model import Chat, Message, Run, Status


class MovedRun(Struct, frozen=True):
    """A run, with what only stores know of it.

    Attributes:
        run: at rest: it is not running.
        content: the fingerprint of what was asked under its key.
        next_seq: the sequence number that the log's next record gets, or would get.
        has_log: whether the records are there; they go some time after the run's end.
        age: milliseconds since its end, by the time that the store has seen; 0 before it.
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
        age: milliseconds since its last change, by the time that the store has seen.
    """

    chat: Chat
    messages: tuple[Message, ...]
    runs: tuple[MovedRun, ...]
    age: int = 0


class Bodies(NamedTuple):
    """The bodies of some messages.

    Attributes:
        first: the index of the first one's message in the outline.
    """

    first: int
    bodies: Sequence[bytes]


class Records(NamedTuple):
    """A stretch of a run's log.

    Attributes:
        first: the sequence number of the first record.
    """

    run_id: str
    first: int
    records: Sequence[bytes]


Content = Bodies | Records


class Listing(NamedTuple):
    """Some of the chats of a store.

    Attributes:
        chat_ids: maybe none.
        next: the place where the list goes on; None at its end.
    """

    chat_ids: Sequence[str]
    next: str | None


class Portable(Protocol):
    """A store that chats can be taken out of and put into, while nobody serves it.

    Several operations may go on at once, if they are about different chats. Every one may raise
    `StoreUnavailable`; repeating the same call is safe.

    Attributes:
        name: its address, without a password.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    async def refuse_served(self) -> None:
        """Raise StoreLocked if a server is running on the store."""
        ...

    async def count(self) -> int:
        """About how many chats there are."""
        ...

    async def listing(self, place: str = "") -> Listing:
        """The ids of chats of all owners, the longest unchanged first, as far as that is cheap.

        Args:
            place: the `next` of the listing before; "" begins.
        """
        ...

    async def outline(self, chat_id: str) -> Outline | None:
        """A chat without its text, as of one moment; None when there is none."""
        ...

    def contents(self, outline: Outline) -> AsyncGenerator[Content, None]:
        """A chat's text: all bodies in the messages' order, then each log that is there.

        Raises:
            RunNotFound, CursorLost: something went meanwhile. Begin again with a new outline.
        """
        ...

    async def put_in(self, outline: Outline, contents: AsyncIterator[Content]) -> bool:
        """Make a chat of what another store has given.

        Atomic: it is there as a whole, or nothing of it is seen. An error of `contents` comes
        through, and then nothing is there.

        Returns:
            False: a chat or a run with such an id is there. Nothing was changed.

        Raises:
            CursorLost: `contents` did not bring everything that the outline promises.
        """
        ...

    async def secret(self) -> bytes | None:
        """What signs the visitors' cookies; None while nothing was ever signed."""
        ...

    async def set_secret(self, secret: bytes) -> None:
        """Sign with something else from the next server on."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...


def at_rest(run: Run) -> Run:
    """A run as its store is left behind: written by nobody."""
    if run.status is Status.RUNNING:
        return structs.replace(run, status=Status.QUEUED)
    return run
