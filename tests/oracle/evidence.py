"""What is known of a history at its end. Values only.

The simulator, the rig of real processes and the tests of runs collect it; `invariants` judges it.
Nothing in it is the code under test's own opinion of itself: it is what clients received, what
processes were answered by the store, and what the store holds.

A provider may mark every word with the request that brought it, as in `7@redis-0.35 `. Then the
text itself says which attempt wrote a record. The marks are no part of the expected text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from durable_llm_streams.chunks import decode
from durable_llm_streams.model import Claim, Cursor, Run, Span, Status
from durable_llm_streams.store import Append

from .owner_evidence import Change, FeedReading, Look, Node, Sent, Trespass
from .violation import Violation

#: The last record of a log, by the run's status.
ENDS: Final = {Status.FINISHED: "finish", Status.FAILED: "error", Status.STOPPED: "abort"}
TERMINAL: Final = frozenset(ENDS.values())

_MARK: Final = re.compile(r"@(\S+)")


@dataclass
class Log:
    """A run's log."""

    records: Sequence[bytes] = ()
    spans: tuple[Span, ...] = ()

    def span_of(self, number: int) -> int:
        """The index of the span that holds a record; -1 for none."""
        return sum(span.first <= number for span in self.spans) - 1

    def written_under(self, span: int) -> Sequence[bytes]:
        """The records of one epoch."""
        first = self.spans[span].first
        after = self.spans[span + 1].first if span + 1 < len(self.spans) else len(self.records) + 1
        return self.records[first - 1 : after - 1]


@dataclass
class Answer:
    """A run as the store holds it at the end.

    Attributes:
        log: its records, and their writers.
        message: the stored message; None where it was not read.
        expected: the whole text that the model was to say; None where it is not known.
        thoughts: the same of its reasoning.
        question: the name of the question in `Evidence.requests` and `refused`; "" for the id of
            the user's message.
        history: the chat's messages as a server returned them; None where it was not asked.
        branch: the ids of the messages that `history` must have; () where they are not known.
        active: the active run that a server named, None for none.
    """

    run: Run
    log: Log
    message: bytes | None = None
    expected: str | None = None
    thoughts: str | None = None
    question: str = ""
    history: Sequence[Mapping[str, Any]] | None = None
    branch: Sequence[str] = ()
    active: str | None = None

    @property
    def name(self) -> str:
        return f"run {self.run.id[-4:]}"

    @property
    def asks(self) -> str:
        return self.question or self.run.prompt_id


class Frame(NamedTuple):
    """An event of a stream, as a client received it."""

    cursor: Cursor
    data: bytes


@dataclass
class Reading:
    """What one reader received of one answer.

    Attributes:
        who: the reader.
        chat: the chat.
        after: the place behind which it began; None for the beginning of the current answer.
        frames: the events, in order.
        came: when each of them came, in the loop's time.
        since: when the connection began that brought it.
        ended: whether a server said that there is nothing more.
        left: whether the reader went away by itself, or found that nothing was being answered.
        lost: the status 410 or 404 with which a server said that what it reads is gone; else 0.
        error: what broke the protocol, at the moment when it came.
        delay: the longest time that it waited for a record which another reader had, in seconds.
        slow: whether it reads more slowly than records come.
        runs: the runs that servers named to it.
        statuses: every status that was not 200.
        sources: the server of each connection that brought events, neighbours once.
        comments: how many heartbeats came.
        clean_ends: connections that ended properly without the answer's end.
        requests: how many requests it made.
    """

    who: str
    chat: str
    after: Cursor | None = None
    frames: list[Frame] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    since: list[float] = field(default_factory=list)
    ended: bool = False
    left: bool = False
    lost: int = 0
    error: Violation | None = None
    delay: float = 0.0
    slow: bool = False
    runs: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    comments: int = 0
    clean_ends: int = 0
    requests: int = 0

    @property
    def cursor(self) -> Cursor | None:
        """The place behind what it has."""
        return self.frames[-1].cursor if self.frames else self.after

    @property
    def last(self) -> int:
        return self.cursor.seq if self.cursor is not None else 0

    @property
    def run_id(self) -> str | None:
        return self.cursor.run_id if self.cursor is not None else None

    @property
    def has_end(self) -> bool:
        """Whether its last event is terminal."""
        return bool(self.frames) and decode(self.frames[-1].data)["type"] in TERMINAL


class Accepted(NamedTuple):
    """A server accepted a message, or recognised it, and named its run."""

    chat: str
    key: str
    run_id: str


class Stop(NamedTuple):
    """An acknowledged stop.

    Attributes:
        run_id: the run; None when there was nothing to stop.
        length: of the log right after the acknowledgement; None where it was not read.
        ended: whether the run had ended then; None where it was not read.
        by_this: whether the answer said that this very call stopped it.
        server: the one that acknowledged it.
    """

    chat: str
    run_id: str | None
    length: int | None = None
    ended: bool | None = None
    by_this: bool = True
    server: str = ""


class Appended(NamedTuple):
    """A call that appended records, as its process saw it.

    Attributes:
        began: when, in the loop's time.
        stands: what the store answered; None when no answer arrived.
        answered: when the answer arrived; None where that is not known.
    """

    process: str
    item: Append
    began: float
    stands: bool | None
    answered: float | None = None


class Claimed(NamedTuple):
    """A claim that a process was given, and when."""

    process: str
    claim: Claim
    at: float


@dataclass
class Evidence:
    """All that is known.

    Attributes:
        answers: the runs that were looked at, by id.
        runs: all runs that the store has, where they are more than `answers`.
        readings: of every reader.
        accepted: what senders were answered.
        stops: the acknowledged stops.
        deleted: the chats that may be gone, because they were deleted.
        appended, claims: calls of the store; None where the collector does not sit in the process.
        attempts: the budget; None where it is not known.
        requests: how often the provider was asked, by question; None where it is not known.
        refused: questions whose runs may fail before the budget is used up.
        excused: how many requests to the provider count as no failure (planned ends, ...).
        lost_tails: the logs as they were each time before the store lost its last writes.
        leaks: what was left behind.
        faults: how often each kind struck; None where it is not known.
        secrets: what may be in no record and no message.
        patience: seconds that a reader or a subscriber may wait for what is committed.
        pauses: (begin, end) of times that do not count as waiting: a process stood still, ...
        seen: violations that the collector has seen by itself.
        owners: whose each chat is.
        changes: what subscribers must receive.
        feeds: what subscribers received.
        lists: the chats that each owner's list has at the end, by their ids.
        trespasses: requests for another owner's chats.
        sent: the users' messages that were accepted.
        trees: the messages of each chat at the end, by id.
        looks: at what has its retention.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    runs: Sequence[Run] = ()
    readings: Sequence[Reading] = ()
    accepted: Sequence[Accepted] = ()
    stops: Sequence[Stop] = ()
    deleted: frozenset[str] = frozenset()
    appended: Sequence[Appended] | None = None
    claims: Sequence[Claimed] | None = None
    attempts: int | None = None
    requests: Mapping[str, int] | None = None
    refused: frozenset[str] = frozenset()
    excused: int = 0
    lost_tails: Sequence[Mapping[str, Sequence[bytes]]] = ()
    leaks: Sequence[str] = ()
    faults: Mapping[str, int] | None = None
    secrets: Sequence[bytes] = ()
    patience: float = 10.0
    pauses: Sequence[tuple[float, float]] = ()
    seen: Sequence[Violation] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    feeds: Sequence[FeedReading] = ()
    lists: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    trespasses: Sequence[Trespass] = ()
    sent: Sequence[Sent] = ()
    trees: Mapping[str, Mapping[str, Node]] = field(default_factory=dict)
    looks: Sequence[Look] = ()

    def waited(self, since: float, until: float) -> float:
        """The seconds of a time that count as waiting."""
        waited, counted = 0.0, since
        for begin, end in sorted(self.pauses):
            waited += max(0.0, min(begin, until) - counted)
            counted = min(until, max(counted, end))
        return waited + until - counted


def requests_in(text: str) -> list[str]:
    """The provider's requests that marked words of a text come from."""
    return _MARK.findall(text)


def unmarked(text: str) -> str:
    """A text without its marks."""
    return _MARK.sub("", text)
