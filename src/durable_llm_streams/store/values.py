"""What the store's operations are given and what they return. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from durable_llm_streams.model import Chat, Claim, Epoch, Message, Run, Span, Status

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


class Pace(NamedTuple):
    """How often a store wants to be written to: writers batch accordingly.

    Attributes:
        records: so many a call shall carry on average, while that delays none of them for longer
            than `longest`.
        shortest: seconds from one call to the next at the least.
        longest: seconds that a record is held back for others at the most.
        crowded: seconds that the records of a run wait for each other where `many` records a second
            are written by one process: then what it costs to write a run and to wake its readers is
            shared by several records. From `few` records a second on it grows up to that.
    """

    records: float = 1.0
    shortest: float = 0.0
    longest: float = 0.0
    crowded: float = 0.0
    few: float = 0.0
    many: float = 1.0

    def spacing(self, rate: float) -> float:
        """Seconds from one call to the next where so many records a second are written."""
        enough = self.records / rate if rate > 0 else 0.0
        return max(min(self.longest, max(self.shortest, enough)), self.hold(rate) / _CALLS_PER_HOLD)

    def hold(self, rate: float) -> float:
        """Seconds that the records of a run wait for each other, from the first of them on."""
        crowd = (rate - self.few) / (self.many - self.few)
        return self.crowded * min(1.0, max(0.0, crowd))


_CALLS_PER_HOLD = 12


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


#: So many of an owner's last changes are kept for who comes back, while there is room for them.
FEED_LENGTH = 100


ChangeKind = Literal["chat-created", "chat-renamed", "chat-deleted", "run-started", "run-ended"]


class Change(Struct, frozen=True, kw_only=True):
    """Something that happened to an owner's chats.

    Attributes:
        position: where the feed stands after it.
        chat: the chat as the change left it; None when it was deleted.
        run_id, message_id: the run that started or ended, and its answer.
        status: how the run ended.
    """

    kind: ChangeKind
    position: str
    chat_id: str
    chat: Chat | None = None
    run_id: str | None = None
    message_id: str | None = None
    status: Status | None = None


class Changes(Struct, frozen=True):
    """A stretch of an owner's feed.

    Attributes:
        changes: oldest first, maybe none.
        position: where the feed stands after them: the next `after`.
        complete: whether these are all changes since `after`. If not there are none, and whoever
            shows the chats lists them again.
    """

    changes: Sequence[Change]
    position: str
    complete: bool
