"""Evidence of a history in which nothing is wrong, easy to doctor before the oracles see it.

Four runs: one that a second worker finished, one that was stopped, one that failed for good after
all its attempts, and one that the provider refused.
"""

from __future__ import annotations

from typing import Any

from durable_llm_streams import chunks
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Claim, Cursor, Epoch, Run, Span, Status, token_at
from durable_llm_streams.store import Append

from .injected_store import Claimed, Written
from .oracles import Evidence, Truth
from .people import Asked, Frame, Reading, Stopped
from .question import Question

FIRST, SECOND = Epoch(1, "aaaa"), Epoch(2, "bbbb")
ATTEMPTS = 3


def word(text: str) -> bytes:
    """A delta of the answer's text."""
    return chunks.delta_prefix("text", "0") + chunks.encode(text) + b"}"


def closing(*end: bytes) -> list[bytes]:
    """The last records, as the end of a run writes them in one step."""
    return [chunks.part_end("text", "0"), chunks.FINISH_STEP, *end]


class Life:
    """A run, and who wrote what of it.

    Attributes:
        first: the records that the first epoch wrote.
        second: those that the second wrote, if there was one.
        end: those that ended it.
        message: what is in the history; None for the fold.
        tried: (process, epoch, seq of the first, records, began, stands) of further appends.
        missing: sequence numbers that no writer has tried to write.
        takeovers: as the run tells of them.
    """

    def __init__(self, chat: str, status: Status, end: list[bytes]) -> None:
        self.chat = chat
        self.id = f"run{chat}"
        self.status = status
        self.key: str | None = f"{chat}m0"
        self.question = Question(f"{chat}m0", 3, 0)
        begin = [chunks.START_STEP, chunks.part_start("text", "0"), word(f"{chat}m0.0 ")]
        self.first = [chunks.start(f"a{chat}", {"model": "sim"}), *begin]
        self.second: list[bytes] = []
        self.end = end
        self.message: bytes | None = None
        self.tried: list[tuple[str, Epoch, int, list[bytes], float, bool | None]] = []
        self.missing: set[int] = set()
        self.takeovers = 0

    @property
    def records(self) -> list[bytes]:
        return [*self.first, *self.second, *self.end]

    @property
    def spans(self) -> tuple[Span, ...]:
        second = (Span(len(self.first) + 1, SECOND),) if self.second else ()
        return (Span(1, FIRST), *second)

    @property
    def run(self) -> Run:
        return Run(
            id=self.id,
            chat_id=self.chat,
            prompt_id=self.question.name,
            message_id=f"a{self.chat}",
            model="sim",
            status=self.status,
            created_at=0,
            key=self.key,
            epoch=self.spans[-1].epoch,
            takeovers=self.takeovers,
            spans=self.spans,
        )

    @property
    def truth(self) -> Truth:
        body = Fold.of(self.records).body() if self.message is None else self.message
        return Truth(self.run, self.records, body)

    @property
    def claims(self) -> list[Claimed]:
        claims = [Claimed("A1", Claim(self.run, FIRST, 1), 0.5)]
        if self.second:
            claims.append(Claimed("B1", Claim(self.run, SECOND, len(self.first) + 1), 5.0))
        return claims

    @property
    def written(self) -> list[Written]:
        second = len(self.first) + 1
        tried = [
            *(("A1", FIRST, at, [record], 1.0, True) for at, record in enumerate(self.first, 1)),
            *(
                ("B1", SECOND, at, [record], 6.0, True)
                for at, record in enumerate(self.second, second)
            ),
        ]
        kept = [call for call in tried if call[2] not in self.missing]
        return [
            Written(process, Append(self.id, epoch, at, records), began, stands)
            for process, epoch, at, records, began, stands in (*kept, *self.tried)
        ]

    def cursor(self, seq: int) -> Cursor:
        return Cursor(self.id, seq, token_at(self.spans, seq))

    def reading(self, who: str, *, after: int = 0, to: int | None = None) -> Reading:
        """A reader that got every record, from a place on and up to one; None for all."""
        until = len(self.records) if to is None else to
        frames = [
            Frame(self.cursor(seq), self.records[seq - 1]) for seq in range(after + 1, until + 1)
        ]
        begin = self.cursor(after) if after else None
        return Reading(who, self.chat, begin, frames, ended=to is None)

    def merged_reading(self, who: str) -> Reading:
        """A reader that caught up: deltas came joined."""
        merged = chunks.merge(self.records)
        frames = [Frame(self.cursor(index + 1), record) for index, record in merged]
        return Reading(who, self.chat, None, frames, ended=True)


class World:
    """All of it. `more` holds what replaces a part of the evidence."""

    def __init__(self) -> None:
        finish = chunks.finish("stop", {"attempts": 2})
        told = {"attempts": ATTEMPTS, "error": "The model did not answer."}
        self.finished = Life("c0", Status.FINISHED, closing(finish))
        self.finished.second = [
            chunks.notice({"event": "takeover", "attempt": 2}),
            chunks.RESET_STEP,
            chunks.part_start("text", "0"),
            *(word(f"c0m0.{number} ") for number in range(3)),
        ]
        self.finished.takeovers = 1
        self.stopped = Life("c1", Status.STOPPED, [chunks.part_end("text", "0"), chunks.ABORT])
        self.failed = Life(
            "c2", Status.FAILED, closing(chunks.metadata(told), chunks.error("No answer."))
        )
        for attempt in range(2, ATTEMPTS + 1):
            self.failed.first.append(chunks.notice({"event": "retry", "attempt": attempt}))
        refused = {"attempts": 1, "error": "The provider refuses."}
        self.refused = Life(
            "c3", Status.FAILED, closing(chunks.metadata(refused), chunks.error("Refused."))
        )
        self.more: dict[str, Any] = {}

    @property
    def lives(self) -> list[Life]:
        return [self.finished, self.stopped, self.failed, self.refused]

    @property
    def readings(self) -> list[Reading]:
        one = self.finished
        return [
            *(life.reading(f"whole {life.chat}") for life in self.lives),
            one.merged_reading("late"),
            one.reading("resumed", after=3),
            one.reading("cut off", to=7),
            Reading("nothing yet", "c0"),
        ]

    def evidence(self) -> Evidence:
        lives = self.lives
        whole: dict[str, Any] = {
            "truths": {life.id: life.truth for life in lives},
            "questions": {life.question.name: life.question for life in lives},
            "readings": self.readings,
            "asked": [Asked(life.chat, f"{life.chat}m0", life.id) for life in [*lives, *lives]],
            "stopped": [
                Stopped("c1", self.stopped.id, len(self.stopped.records)),
                Stopped("c1", None, None),
            ],
            "written": [call for life in lives for call in life.written],
            "claims": [claim for life in lives for claim in life.claims],
            "attempts": ATTEMPTS,
            "requests": {"c0m0": 2, "c1m0": 1, "c2m0": ATTEMPTS, "c3m0": 1},
            "refused": frozenset({"c3m0"}),
            "faults": {"kill": 1, "cut-answer": ATTEMPTS},
        }
        return Evidence(**(whole | self.more))
