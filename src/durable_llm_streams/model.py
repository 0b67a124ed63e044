"""The values of the domain: chat, message, run, epoch, cursor.

Nothing here does I/O or depends on a database, a protocol or a clock.
Times are integers, milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple, Self

from msgspec import Struct

from .errors import InvalidCursor

#: Chat and message ids come from clients. They are used in paths and logs, so they are restricted.
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,127}\Z")


def valid_id(text: str) -> bool:
    """Whether this is a valid id of a chat or a message."""
    return ID_PATTERN.match(text) is not None


class Status(StrEnum):
    """The state of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether the run has its terminal record."""
        return self is not _RUNNING and self is not _QUEUED


_QUEUED, _RUNNING = Status.QUEUED, Status.RUNNING


class Epoch(NamedTuple):
    """One claim of a run. Stores compare both fields for equality.

    A number alone can be issued twice, after a failover that lost the last claim.
    """

    number: int
    token: str


class Span(NamedTuple):
    """The records from `first` on were written under `epoch`, until the next span's first."""

    first: int
    epoch: Epoch


class Charge(Struct, frozen=True):
    """Units that are taken out of a bucket, which fills again as time passes.

    Attributes:
        kind: what is limited, such as `messages`; no colon.
        of: whose bucket it is: an owner, or `EVERYBODY`.
        cost: how many units; a negative number gives some back.
        limit: how many units the full bucket holds, more than 0.
        period: in how many seconds an empty bucket is full again.
    """

    kind: str
    of: str
    cost: float
    limit: float
    period: float

    @property
    def bucket(self) -> str:
        """The name of the bucket in the store."""
        return f"{self.kind}:{self.of}"


class Level(Struct, frozen=True):
    """What is left in a bucket.

    Attributes:
        kind, of, limit, period: see `Charge`.
        remaining: units that can be taken now, not more than `limit`.
        full_after: seconds until the bucket is full.
    """

    kind: str
    of: str
    limit: float
    period: float
    remaining: float
    full_after: float


#: Whose bucket it is that all owners share. No owner is empty.
EVERYBODY = ""


class Chat(Struct, frozen=True, kw_only=True):
    """A conversation.

    Attributes:
        id: what its owner's client named it. Other owners may have chats with the same id.
        head: the last message of the branch that is shown, or None when the chat is empty.
        active_run: the run that is queued or running (the oldest if there are several).
    """

    id: str
    owner: str
    title: str
    created_at: int
    updated_at: int
    head: str | None = None
    active_run: str | None = None


class Message(Struct, frozen=True, kw_only=True):
    """One node in a chat's tree of messages.

    Attributes:
        parent: the message before this one; siblings are versions of each other.
        body: the AI SDK `UIMessage` as JSON; empty while the answer is being written.
    """

    id: str
    parent: str | None
    role: str
    body: bytes
    created_at: int
    run_id: str | None = None


class Run(Struct, frozen=True, kw_only=True):
    """The production of one answer.

    Attributes:
        owner, chat_id: whose chat, and which of theirs, it is in.
        key: the same for duplicates of a request, or None.
        prompt_id: the user message that is answered.
        message_id: the assistant message that is written.
        epoch: the last claim; number 0 before the first.
        takeovers: how often the run was claimed again after a lease ran out.
        spans: which epoch wrote which records.
        charges: the reservation, what each attempt may cost; empty once the run has ended.
        reservations: how often that was taken; 0 once the run has ended.
    """

    id: str
    owner: str
    chat_id: str
    prompt_id: str
    message_id: str
    model: str
    status: Status
    created_at: int
    key: str | None = None
    epoch: Epoch = Epoch(0, "")
    takeovers: int = 0
    spans: tuple[Span, ...] = ()
    started_at: int | None = None
    ended_at: int | None = None
    charges: tuple[Charge, ...] = ()
    reservations: int = 0


class Claim(NamedTuple):
    """A worker's right to write a run.

    Attributes:
        next_seq: the sequence number of the first record that this epoch writes.
    """

    run: Run
    epoch: Epoch
    next_seq: int


class Cursor(NamedTuple):
    """The position of a reader: the last record that it has.

    As text: `RUN.SEQ.TOKEN`. SEQ has eight hexadecimal digits, so the cursors of a log sort as text
    in log order. TOKEN names the epoch that wrote the record. After a failover that lost the end of
    a log, the same sequence number may hold other text; then the token differs.
    Only letters, digits and dots: safe in a header, a query string and a file name.
    """

    run_id: str
    seq: int
    token: str

    @classmethod
    def beginning(cls, run_id: str) -> Self:
        """The place before the first record of a run."""
        return cls(run_id, 0, "")

    def __str__(self) -> str:
        return f"{self.run_id}.{self.seq:08x}.{self.token}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor.

        Raises:
            InvalidCursor: the text is not a cursor.
        """
        match = CURSOR_PATTERN.match(text)
        if match is None:
            raise InvalidCursor
        return cls(match[1], int(match[2], 16), match[3])


#: A cursor as text.
CURSOR_PATTERN = re.compile(r"([0-9a-z]{1,64})\.([0-9a-f]{8})\.([0-9a-f]{0,32})\Z")


def token_at(spans: tuple[Span, ...], seq: int) -> str:
    """The token of the epoch that wrote record `seq` ("" for the place before the first record)."""
    for span in reversed(spans):
        if span.first <= seq:
            return span.epoch.token
    return ""
