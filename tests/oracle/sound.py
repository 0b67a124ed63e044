"""Evidence of a history in which nothing is wrong, easy to change before it is judged.

Four runs: one that a second worker finished, one that was stopped, one that failed after all its
attempts, and one that the provider refused. Every word is marked with the request that brought it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from durable_llm_streams import chunks
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Claim, Cursor, Epoch, Run, Span, Status, token_at
from durable_llm_streams.store import Append

from .evidence import Accepted, Answer, Appended, Claimed, Evidence, Frame, Log, Reading, Stop
from .owner_evidence import Change, FeedEvent, FeedReading, Look, Node, Sent, Trespass

FIRST, SECOND, STOPPER = Epoch(1, "aaaa"), Epoch(2, "bbbb"), Epoch(2, "cccc")
ATTEMPTS = 3
WORDS = 3
SECRET = b"sk-secret"

#: (process, epoch, first record, records, began, stands) of a call that appends.
Call = tuple[str, Epoch, int, list[bytes], float, bool | None]

TAKEOVER = chunks.notice({"event": "takeover", "attempt": 2})
FINISH = chunks.finish("stop", {"attempts": 2})
OUT_OF_ATTEMPTS = f"The answer could not be completed in {ATTEMPTS} attempts."


def word(text: str) -> bytes:
    """A delta of the answer's text."""
    return chunks.delta_prefix("text", "0") + chunks.encode(text) + b"}"


def closing(*end: bytes) -> list[bytes]:
    """The last records, as the end of a run writes them in one step."""
    return [chunks.part_end("text", "0"), *end]


def failing(sentence: str, attempts: int) -> list[bytes]:
    """The last records of a run that has failed."""
    about = {"attempts": attempts, "error": sentence}
    return closing(chunks.metadata(about), chunks.error(sentence))


@dataclass
class History:
    """A run, and the writers of its records. Run, message and words bear the chat's name.

    Attributes:
        first, second, end: the records of the first epoch, of the second one, and of the end.
        message: what is stored; None for the fold.
        appends: further calls.
        missing: records that no writer appended.
        answer: what replaces a part of the answer.
    """

    chat: str
    status: Status
    end: list[bytes]
    ended_by: Epoch = FIRST
    first: list[bytes] = field(default_factory=list)
    second: list[bytes] = field(default_factory=list)
    key: str = ""
    takeovers: int = 0
    message: bytes | None = None
    appends: list[Call] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)
    spans: tuple[Span, ...] = ()
    answer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        begin = [chunks.START_STEP, chunks.part_start("text", "0"), self.say(0)]
        self.first = [chunks.start(f"a{self.chat}", {"model": "sim"}), *begin, *self.first]
        self.key = f"{self.chat}m0"

    def say(self, number: int, request: str = "A1.1") -> bytes:
        """A word of the answer."""
        return word(f"{self.chat}m0.{number}@{request} ")

    @property
    def id(self) -> str:
        return f"run{self.chat}"

    @property
    def records(self) -> list[bytes]:
        return [*self.first, *self.second, *self.end]

    @property
    def log(self) -> Log:
        spans = [Span(1, FIRST)]
        if self.second:
            spans.append(Span(len(self.first) + 1, SECOND))
        if self.ended_by == STOPPER:
            spans.append(Span(len(self.first) + len(self.second) + 1, STOPPER))
        return Log(self.records, self.spans or tuple(spans))

    @property
    def run(self) -> Run:
        return Run(
            id=self.id,
            owner="ann",
            chat_id=self.chat,
            prompt_id=f"{self.chat}m0",
            message_id=f"a{self.chat}",
            model="sim",
            status=self.status,
            created_at=0,
            key=self.key,
            epoch=self.log.spans[-1].epoch,
            takeovers=self.takeovers,
            spans=self.log.spans,
        )

    def as_answer(self) -> Answer:
        fold = Fold.of(self.records)
        user = {"id": f"{self.chat}m0", "role": "user"}
        expected = "".join(f"{self.chat}m0.{number} " for number in range(WORDS))
        whole: dict[str, Any] = {
            "message": fold.body() if self.message is None else self.message,
            "expected": expected,
            "thoughts": "",
            "history": [user, fold.message()],
            "branch": [f"{self.chat}m0", f"a{self.chat}"],
        }
        return Answer(self.run, self.log, **(whole | self.answer))

    @property
    def claims(self) -> list[Claimed]:
        claims = [Claimed("A1", Claim(self.run, FIRST, 1), 0.5)]
        if self.second:
            claims.append(Claimed("B1", Claim(self.run, SECOND, len(self.first) + 1), 5.0))
        return claims

    @property
    def appended(self) -> list[Appended]:
        second = len(self.first) + 1
        calls: list[Call] = [
            *(("A1", FIRST, at, [each], 1.0, True) for at, each in enumerate(self.first, 1)),
            *(("B1", SECOND, at, [each], 6.0, True) for at, each in enumerate(self.second, second)),
        ]
        kept = [call for call in calls if call[2] not in self.missing]
        return [
            Appended(process, Append(self.id, epoch, at, records), began, stands)
            for process, epoch, at, records, began, stands in (*kept, *self.appends)
        ]

    def cursor(self, seq: int) -> Cursor:
        return Cursor(self.id, seq, token_at(self.log.spans, seq))

    def reading(self, who: str, *, after: int = 0, to: int | None = None) -> Reading:
        """A reader that got every record, from a place on and up to one; None for all."""
        until = len(self.records) if to is None else to
        frames = [Frame(self.cursor(n), self.records[n - 1]) for n in range(after + 1, until + 1)]
        begin = self.cursor(after) if after else None
        return Reading(who, self.chat, begin, frames, ended=to is None, left=to is not None)


#: One owner's list at the end: a chat was renamed, another one was deleted.
ROWS: Final = {"c0": {"id": "c0", "title": "new", "active": False}}


def feed(who: str = "a subscriber") -> FeedReading:
    """A subscriber of the owner of `c0` and `c1`, from its list on."""
    row = {"id": "c0", "title": "old", "active": True}
    told: list[dict[str, Any]] = [
        {"type": "run-started", "chat": row, "run": "runc0"},
        {"type": "chat-deleted", "id": "c9"},
        {"type": "chat-renamed", "chat": {**row, "title": "new"}},
        {"type": "run-ended", "chat": ROWS["c0"], "run": "runc0", "status": "finished"},
    ]
    events = [FeedEvent(f"ab.{n}", data, float(n), 0.0) for n, data in enumerate(told, 2)]
    return FeedReading(who, "ann", events, listed=0.5, rows=dict(ROWS), opens=1, missed=1)


def look(at: float, status: int) -> Look:
    """A look at a log that must go between 5 and 10 s."""
    return Look("a log", at, at, 5.0, 10.0, status, frozenset({410}))


class World:
    """All of it. `more` holds what replaces a part of the evidence."""

    def __init__(self) -> None:
        self.finished = History("c0", Status.FINISHED, closing(chunks.FINISH_STEP, FINISH))
        self.finished.takeovers = 1
        self.finished.second = [
            *(TAKEOVER, chunks.RESET_STEP, chunks.part_start("text", "0")),
            *(self.finished.say(number, "B1.2") for number in range(WORDS)),
        ]
        self.stopped = History("c1", Status.STOPPED, closing(chunks.ABORT), STOPPER)
        self.failed = History("c2", Status.FAILED, failing(OUT_OF_ATTEMPTS, ATTEMPTS))
        for attempt in range(2, ATTEMPTS + 1):
            self.failed.first.append(chunks.notice({"event": "retry", "attempt": attempt}))
        self.refused = History("c3", Status.FAILED, failing("The provider refuses.", 1))
        self.all = [self.finished, self.stopped, self.failed, self.refused]
        self.more: dict[str, Any] = {}

    @property
    def readings(self) -> list[Reading]:
        one, late = self.finished, self.finished.reading("late: deltas came joined")
        merged = chunks.merge(one.records)
        late.frames[:] = [Frame(one.cursor(index + 1), record) for index, record in merged]
        return [
            *(each.reading(f"whole {each.chat}") for each in self.all),
            late,
            one.reading("resumed", after=3),
            one.reading("left", to=7),
            Reading("found nothing", "c0", left=True),
        ]

    def evidence(self) -> Evidence:
        every = self.all
        whole: dict[str, Any] = {
            "answers": {each.id: each.as_answer() for each in every},
            "readings": self.readings,
            "accepted": [Accepted(each.chat, f"{each.chat}m0", each.id) for each in every * 2],
            "stops": [
                Stop("c1", self.stopped.id, len(self.stopped.records), ended=True),
                Stop("c0", self.finished.id, by_this=False),
                Stop("c1", None),
            ],
            "appended": [call for each in every for call in each.appended],
            "claims": [claim for each in every for claim in each.claims],
            "attempts": ATTEMPTS,
            "requests": {"c0m0": 2, "c1m0": 1, "c2m0": ATTEMPTS, "c3m0": 1},
            "refused": frozenset({"c3m0"}),
            "faults": {"kill": 1, "cut-answer": ATTEMPTS},
            "secrets": (SECRET,),
            "owners": {"c0": "ann", "c9": "ann", "c2": "bob"},
            "feeds": [feed()],
            "changes": [
                Change("ann", "run-ended", "c0", "before", 0.9, 0.4),
                *(
                    Change("ann", e.kind, e.chat, e.about, e.came - 0.5, e.came - 0.9)
                    for e in feed().events
                ),
                Change("bob", "run-started", "c2", "runc2", 2.0, 1.0),
            ],
            "lists": {"ann": ROWS},
            "looks": [look(4.0, 200), look(7.0, 200), look(7.0, 410), look(11.0, 410)],
            "trespasses": [Trespass("bob: GET /api/chats/c0", 404, b"{}", frozenset({404}))],
            "sent": [Sent("c0", "c0m0", "Count"), Sent("c0", "c0m1", "Count!", "c0m0")],
            "trees": {
                "c0": {
                    "c0m0": Node(None, "user", "Count"),
                    "c0m1": Node(None, "user", "Count!"),
                    "ac0": Node("c0m0", "assistant"),
                }
            },
        }
        return Evidence(**(whole | self.more))
