"""The Store: the one contract that every backend keeps.

Theory of operation
===================
1. A run's log is append-only: records 1, 2, 3, … without holes. Every append names the sequence
   number that it expects to write, so that repeating a call whose outcome is unknown adds nothing.
2. Who may write is decided by the epoch, number and token together, compared for equality inside
   the same atomic step as the write. A claim raises the number and draws a new token.
3. A lease only decides when a run may be claimed by another worker. It never decides who may
   write: an expired lease that nobody claimed still writes, a claimed-away one never does.
4. The end of a run is one atomic step: its last records, its status, the message in the history.
   After it nothing is appended.
5. What a reader is given is committed.
6. Records are opaque: JSON without a line feed, nothing more is known of them here.
7. What happens to chats is told in their owner's feed. It is a notice, not a second truth: it is
   bounded, it may forget, and then it says so; the chats themselves are in the store.

Every operation may raise `StoreUnavailable`; then the outcome is unknown, and repeating the same
call is safe. Other errors mean that nothing was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from durable_llm_streams.model import Chat, Claim, Message, Run

from .values import (
    FEED_LENGTH,
    PAGE_BYTES,
    Append,
    Change,
    ChangeKind,
    Changes,
    ChatPage,
    Ending,
    Order,
    Pace,
    Page,
    Sent,
    Snapshot,
)

__all__ = [
    "FEED_LENGTH",
    "PAGE_BYTES",
    "Append",
    "Change",
    "ChangeKind",
    "Changes",
    "ChatPage",
    "ChatStore",
    "Ending",
    "FeedStore",
    "LogReader",
    "LogStore",
    "Order",
    "Pace",
    "Page",
    "RunStore",
    "Sent",
    "Snapshot",
    "Store",
]


class LogReader(Protocol):
    """Records, read."""

    async def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Page:
        """Read records from `after` + 1 on, at least one if there are any.

        Args:
            run_id: the run.
            after: the last record that the reader has; 0 for none.
            max_bytes: stop before the page gets larger; one record always fits.
            wait: when there is nothing to read and the run has not ended, wait so many seconds for
                something. Coarse: up to a second more. An empty page after it is no end.

        Raises:
            RunNotFound: no such run (any more).
            CursorLost: `after` is beyond the log's end, or the log is past its retention.
        """
        ...


class LogStore(LogReader, Protocol):
    """Records, read and written.

    Attributes:
        pace: how often `append` wants to be called.
    """

    @property
    def pace(self) -> Pace:
        """See above."""
        ...

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        """Write the records of many runs.

        Atomic: for each item, all its records or none. Items do not depend on each other.
        Idempotent: records that stand there already under this epoch are not written again.

        Returns:
            For each item whether it stands in the log now. False: fenced (another epoch claimed
            the run, it ended, it is gone) or `at` is not where the log ends. The caller's claim is
            worth nothing any more.

        Raises:
            StoreUnavailable: nobody knows; call again with the same batch.
        """
        ...

    async def end(self, ending: Ending) -> Run:
        """Write the terminal record, the status and the message in the history, in one step.

        Atomic. Idempotent for the epoch that ended the run: it gets the ended run again.
        The chat's updated_at is set. A run that waits behind this one becomes claimable.

        Raises:
            Fenced: the epoch is not the run's, or the run ended otherwise.
            SequenceMismatch: `at` is not where the log ends (read on, fold, try again).
            RunNotFound: no such run.
        """
        ...


class RunStore(Protocol):
    """Runs and who writes them."""

    async def send(self, order: Order) -> Sent:
        """Accept a message: the chat if it is new, the message, the run, its claim.

        Atomic. Idempotent by `key`: a repetition returns the first run and changes nothing, but
        for the head of the chat if that is asked for (`shown`). Also a
        repetition: asking `again` for an answer that is just being written.

        Raises:
            ChatNotFound: the chat is somebody else's, or `again`/`edit` names an unknown chat.
            MessageNotFound: `anchor` is not in the chat (`edit`, `again`).
            InvalidRequest: `edit` names an answer.
            MessageConflict: the message id or the key stands for something else already.
            ChatBusy: a run of this chat is active and `queue` is False.
        """
        ...

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        """Claim runs: queued ones whose turn it is, and running ones whose lease ran out.

        Atomic for each run: epoch + 1, a new token, running, lease from now, a new span. Claiming
        a run whose lease ran out counts as a takeover. Oldest first; where runs are kept in several
        places, those of one place may come before older ones of another.
        """
        ...

    async def work(self, wait: float) -> None:
        """Return when there may be something to claim that was not there before.

        A hint: it may come for nothing, and leases run out without one. What happened since the
        last call is not missed.

        Args:
            wait: return after so many seconds at the latest.
        """
        ...

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        """Claim one run, whoever holds it and whether or not it is its turn.

        Atomic, as `claim`, but it counts as no takeover. From then on the old epoch writes nothing,
        so that the caller can end the run in peace.

        Raises:
            Fenced: the run has ended.
            RunNotFound: no such run (any more).
        """
        ...

    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        """Prolong leases. Returns those claims that are lost."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back: they are queued again, claimable at once, their logs untouched.

        Idempotent; lost claims are passed over.
        """
        ...

    async def find_run(self, owner: str | None, chat_id: str, run_id: str | None = None) -> Run:
        """One run of a chat: the named one, or the active one (the oldest if several wait).

        Args:
            owner: whose chat it must be; None asks for any (operators' commands).
            chat_id: the chat.
            run_id: the run, or None for the active one.

        Raises:
            ChatNotFound: no such chat of this owner.
            RunNotFound: no such run in it, or none is active.
        """
        ...

    async def runs(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        """Runs of all chats, newest first."""
        ...


class ChatStore(Protocol):
    """Chats and their history."""

    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        """A chat with its messages and its active run's log, as of one moment.

        Args:
            owner: whose chat it must be.
            chat_id: the chat.
            leaf: the message whose branch to show (down to its newest descendant); None: the head.

        Raises:
            ChatNotFound: no such chat of this owner.
            MessageNotFound: no such leaf in it.
        """
        ...

    async def thread(self, run_id: str) -> Sequence[Message]:
        """The messages that a run answers, oldest first, its prompt last.

        Raises:
            RunNotFound: no such run.
        """
        ...

    async def chats(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
        """An owner's chats, by updated_at, newest first.

        Args:
            owner: whose.
            query: only those whose title holds this, whatever the case.
            limit: how many at the most.
            more: the token of the page before.

        Raises:
            InvalidRequest: `more` is no such token.
        """
        ...

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """Set a chat's title. Raises ChatNotFound."""
        ...

    async def delete(self, owner: str, chat_id: str) -> None:
        """Delete a chat with its messages, runs and logs. Atomic.

        Whoever still writes one of its runs is fenced; whoever reads one gets RunNotFound.

        Raises:
            ChatNotFound: no such chat of this owner.
        """
        ...


class FeedStore(Protocol):
    """What happens to an owner's chats, while it happens."""

    async def changes(self, owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        """What happened since a position.

        `send` tells of a new chat and of its run (which may wait for its turn), `end` of the run's
        end, `rename`, `delete` and `expire` of what they did to chats. Repetitions tell nothing.
        A change is told after its commit, in the order of the commits: whoever then looks at the
        chats finds its effect. At the most `FEED_LENGTH` changes come at once.

        Args:
            owner: whose; nobody else's changes are told.
            after: the position that the reader has. None, a position of another life of the store,
                one from too long ago and what is none at all: nothing comes but the position now,
                and `complete` is False.
            wait: when there is nothing to tell, wait so many seconds for something. Coarse: up to
                a second more.
        """
        ...


class Store(LogStore, RunStore, ChatStore, FeedStore, Protocol):
    """A backend."""

    async def open(self) -> None:
        """Get ready for the other operations.

        Raises:
            StoreUnusable: it is no store, cannot be reached or written, or is too new.
        """
        ...

    async def secret(self) -> bytes:
        """32 random bytes, drawn once and kept in the store: they sign visitors' cookies."""
        ...

    async def check(self) -> None:
        """Write something that means nothing, as an append would be written.

        Called often: where a write costs, one a second is enough.

        Raises:
            StoreUnavailable: it could not be written, or soon cannot be: the disk is full.
        """
        ...

    async def expire(self, *, now: int, log_age: float, chat_age: float) -> int:
        """Delete what has outlived its retention, a portion at a time: call again until it is 0.

        Ages are of time that the store has seen pass (see `stores/seen_time.py`). Each call is a
        look at the clock: call about once a minute. A clock that jumps deletes nothing; it is
        logged.

        Args:
            now: the wall clock in milliseconds, for a store that has none of its own.
            log_age: seconds after a run's end when its log goes (its message stays).
            chat_age: seconds after a chat's last change when the chat goes; 0 keeps it for ever.

        Returns:
            How many logs and chats went.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. What was accepted is in the store."""
        ...
