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

Every operation may raise `StoreUnavailable`; then the outcome is unknown, and repeating the same
call is safe. Other errors mean that nothing was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from .model import Chat, Claim, Epoch, Message, Run, Span, Status

#: The most bytes of records that one `read` returns, unless the caller says otherwise.
PAGE_BYTES = 256 * 1024


class Order(Struct, frozen=True, kw_only=True):
    """What `Store.send` shall make.

    Attributes:
        place: `follow` puts the message behind `anchor` (or behind the chat's head, when anchor is
            None or unknown); `edit` puts it beside the user message `anchor`; `again` adds no
            message and answers once more the user message that `anchor` is, or answers (None: the
            chat's head).
        message_id, body: the new user message (`again`: None and empty).
        run_id, answer_id: ids for the run and the assistant message.
        key: what makes a repetition recognisable; None if nothing does.
        content: a fingerprint of what is asked. The same key with other content is a conflict.
        title: for a chat that does not exist yet.
        shown: whether the chat's head goes to the answer's branch, also when the order is a
            repetition.
        queue: whether a run may wait behind another run of the chat.
        worker, lease: who claims the new run at once, and for how many seconds; None leaves it
            queued.
        now: the time, in milliseconds.
    """

    owner: str
    chat_id: str
    place: Literal["follow", "edit", "again"]
    run_id: str
    answer_id: str
    model: str
    now: int
    anchor: str | None = None
    message_id: str | None = None
    body: bytes = b""
    key: str | None = None
    content: str = ""
    title: str = ""
    shown: bool = False
    queue: bool = False
    worker: str | None = None
    lease: float = 0.0


class Sent(NamedTuple):
    """What `Store.send` made or found.

    Attributes:
        created: False when the order was a repetition and `run` is the one it made the first time.
        claim: the ordering worker's claim, when it asked for one and the run could start.
    """

    run: Run
    created: bool
    claim: Claim | None


class Append(Struct, frozen=True):
    """Records for one run.

    Attributes:
        at: the sequence number that the first of them gets.
    """

    run_id: str
    epoch: Epoch
    at: int
    records: Sequence[bytes]


class Ending(NamedTuple):
    """The end of a run.

    Attributes:
        epoch: the caller's claim, or None to end it whoever holds it (a stop): that claims it.
        at: the sequence number that the first record gets.
        records: the last records; the last one is terminal.
        body: the assistant message for the history, the fold of the whole log.
    """

    run_id: str
    epoch: Epoch | None
    at: int
    records: Sequence[bytes]
    status: Status
    body: bytes
    now: int


class Page(Struct, frozen=True):
    """A stretch of a log.

    Attributes:
        first: the sequence number of the first record here.
        records: maybe none.
        next_seq: the sequence number that the log's next record will get.
        spans: which epoch wrote which records.
        status: the run's, as of `next_seq`.
    """

    first: int
    records: Sequence[bytes]
    next_seq: int
    spans: tuple[Span, ...]
    status: Status

    @property
    def last(self) -> int:
        """The sequence number of the last record here, or of the one before `first`."""
        return self.first + len(self.records) - 1


class Snapshot(NamedTuple):
    """A chat at one moment.

    Attributes:
        messages: the branch that ends at the asked message, oldest first. The last one's body is
            empty while its run is active.
        versions: every message of the chat as (id, parent, role), oldest first.
        run: the chat's active run (the oldest, when several wait), on whatever branch it writes.
        log: that run's whole log.
    """

    chat: Chat
    messages: Sequence[Message]
    versions: Sequence[tuple[str, str | None, str]]
    run: Run | None
    log: Page | None


class ChatPage(NamedTuple):
    """Chats, newest first. `more` is the token for the next page, or None at the end."""

    chats: Sequence[Chat]
    more: str | None


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
    """Records, read and written."""

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
        a run whose lease ran out counts as a takeover. Oldest first.
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


class Store(LogStore, RunStore, ChatStore, Protocol):
    """A backend."""

    async def secret(self) -> bytes:
        """32 random bytes, drawn once and kept in the store: they sign visitors' cookies."""
        ...

    async def check(self) -> None:
        """Do nothing, through the same path as a write. Raises StoreUnavailable."""
        ...

    async def expire(self, *, now: int, log_age: float, chat_age: float) -> int:
        """Delete what has outlived its retention, a portion at a time: call again until it is 0.

        Args:
            now: the time, in milliseconds.
            log_age: seconds after a run's end when its log goes (its message stays).
            chat_age: seconds after a chat's last change when the chat goes; 0 keeps it for ever.

        Returns:
            How many logs and chats went.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. What was accepted is in the store."""
        ...
