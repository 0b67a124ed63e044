"""What must hold of an answer, whatever was killed while it was made. Values only: no I/O.

The evidence is what everybody was told (readers, senders, those who stopped it), the log with its
spans, and the words: each names the request that brought it (see `provider`), so the text itself
tells who wrote which record, whatever the spans say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from durable_llm_streams.chunks import decode
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Run, Status
from tests.app import Frame
from tests.crash.provider import Model, Word, words_of
from tests.redis_faults.oracle import Log, check_frames, shown
from tests.redis_faults.reader import TERMINAL

#: How each way to end looks in the log.
ENDS = {Status.FINISHED: "finish", Status.FAILED: "error", Status.STOPPED: "abort"}

#: Whoever waits longer for what others have was forgotten: longer than anybody stands still here,
#: but less than the 15 s after which a waiting stream looks by itself.
LATE_SECONDS = 10.0

_FEW_ATTEMPTS = "The answer could not be completed in "
_CLOSING = ("text-end", "reasoning-end", "message-metadata", "abort")


class Violation(NamedTuple):
    """A promise that was broken.

    Attributes:
        promise: its id, as `tests/promises.py` has it.
        what: a sentence.
        record: where in the log it shows; 0 for no place or its end.
    """

    promise: str
    what: str
    record: int = 0


@dataclass
class Told:
    """What a reader was told.

    Attributes:
        name: who it is.
        after: the record behind which he began.
        frames: the events.
        complete: whether he was told that there is nothing more.
        runs: the runs that were named to him.
        error: what went against the protocol, "" if nothing did.
        lost: whether he was told that his cursor is lost.
        delay: how long he has waited for a record that another reader had, in seconds.
    """

    name: str
    after: int = 0
    frames: Sequence[Frame] = ()
    complete: bool = True
    runs: frozenset[str] = frozenset()
    error: str = ""
    lost: bool = False
    delay: float = 0.0


class Stop(NamedTuple):
    """An acknowledged stop.

    Attributes:
        server: who acknowledged it.
        length: how many records the log had right after.
        ended: whether the run had ended then.
    """

    server: str
    length: int
    ended: bool


@dataclass
class Case:
    """All that is known of one answer.

    Attributes:
        run: as the store has it.
        log: the same.
        stored: the chat's runs in the store.
        history: the chat's messages as a server tells them.
        active: the active run that the server tells of.
        attempts: the budget.
        readers: who read it.
        stops: who stopped it.
    """

    run: Run
    log: Log
    stored: frozenset[str]
    history: Sequence[dict[str, Any]]
    attempts: int
    active: object = None
    readers: list[Told] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)


class Written(NamedTuple):
    """One record, and what tells who wrote it.

    Attributes:
        span: the index of the span that it stands in.
        words: the words that it says.
    """

    number: int
    span: int
    kind: str
    chunk: dict[str, Any]
    words: Sequence[Word]


def judge(case: Case) -> list[Violation]:
    """Everything that is wrong."""
    checks = (_readers, _sends, _end, _history, _stops, _text, _fencing, _failure)
    return [violation for check in checks for violation in check(case)]


def written(log: Log) -> list[Written]:
    """The records of a log."""
    records, span = [], -1
    for number, record in enumerate(log.records, 1):
        while span + 1 < len(log.spans) and log.spans[span + 1].first <= number:
            span += 1
        chunk = decode(record)
        words = words_of(chunk["delta"]) if chunk["type"] == "text-delta" else []
        records.append(Written(number, span, chunk["type"], chunk, words))
    return records


def late_records(log: Log) -> list[Written]:
    """Records of an old epoch that stand behind a newer one's claim."""
    first_span: dict[str, int] = {}
    late = []
    for record in written(log):
        for word in record.words:
            if first_span.setdefault(word.request, record.span) != record.span:
                late.append(record)
                break
    return late


def _sends(case: Case) -> Iterator[Violation]:
    named = frozenset[str]().union(*(reader.runs for reader in case.readers))
    for runs, who in ((named, "Senders and readers were"), (case.stored, "The store was")):
        if runs != {case.run.id}:
            yield Violation("idempotent-send", f"{who} told of the runs {sorted(runs)} of one send")


def _end(case: Case) -> Iterator[Violation]:
    status = case.run.status
    kinds = [record.kind for record in written(case.log)]
    if not status.ended:
        yield Violation("honest-failure", f"The run has not ended; it is {status}")
    ends = [f"{number} {kind}" for number, kind in enumerate(kinds, 1) if kind in TERMINAL]
    if ends != [f"{len(kinds)} {ENDS.get(status)}"]:
        yield Violation("one-end", f"{status}, with {len(kinds)} records, of them terminal: {ends}")
    if kinds.count("start") != 1 or kinds[0] != "start":
        yield Violation("one-end", "The log does not begin with its only `start`")


def _readers(case: Case) -> Iterator[Violation]:
    length = len(case.log.records)
    for reader in case.readers:
        if reader.error:
            yield Violation("prefix", f"{reader.name}: {reader.error}")
        if reader.lost:
            yield Violation("seen-is-durable", f"{reader.name} was told that the cursor is lost")
        if reader.delay > LATE_SECONDS:
            what = f"waited {reader.delay:.1f} s for a record that another reader had"
            yield Violation("prefix", f"{reader.name} {what}")
        try:
            check_frames(reader.frames, case.log, reader.after)
        except AssertionError as error:
            yield Violation("prefix", f"{reader.name}: {error}")
            continue
        last = reader.after + sum(_count(reader.frames, reader.after))
        if not reader.complete:
            yield Violation("prefix", f"{reader.name} was left waiting at record {last}")
        elif last != length:
            yield Violation("prefix", f"{reader.name} was let go at record {last} of {length}")


def _count(frames: Iterable[Frame], after: int) -> Iterator[int]:
    for frame in frames:
        seq = int(frame.id.split(".")[1], 16)
        yield seq - after
        after = seq


def _history(case: Case) -> Iterator[Violation]:
    roles = [message["role"] for message in case.history]
    if roles != ["user", "assistant"]:
        yield Violation("history-is-fold", f"The history has the messages {roles}")
    elif case.history[1] != (folded := Fold.of(case.log.records).message()):
        yield Violation("history-is-fold", f"It says {case.history[1]}, the log {folded}")
    if case.active is not None:
        yield Violation("one-end", f"The chat has an active run: {case.active}")


def _stops(case: Case) -> Iterator[Violation]:
    length = len(case.log.records)
    for stop in case.stops:
        if not stop.ended:
            yield Violation("stop", f"{stop.server} acknowledged a stop before there was an end")
        if stop.length != length:
            grown = f"the log went on from {stop.length} to {length} records"
            yield Violation("stop", f"After {stop.server} had acknowledged a stop, {grown}")


def _text(case: Case) -> Iterator[Violation]:
    before = 0
    for record in written(case.log):
        if record.kind == "reset-step":
            before = 0
        for word in record.words:
            if word.number != before + 1:
                what = f"Record {record.number} says word {word.number} after word {before}"
                yield Violation("one-clean-answer", what, record.number)
            before = word.number
    numbers = [word.number for word in words_of(shown(case.log.records))]
    if numbers != list(range(1, len(numbers) + 1)):
        yield Violation("one-clean-answer", f"The answer has the words {numbers}")
    if case.run.status is Status.FINISHED and len(numbers) != Model.parse(case.run.model).words:
        yield Violation("one-clean-answer", f"The finished answer has {len(numbers)} words")


def _fencing(case: Case) -> Iterator[Violation]:
    late = [record.number for record in late_records(case.log)]
    if late:
        what = f"Written under an old epoch, after a newer one's claim: the records {late}"
        yield Violation("fencing", what, late[0])
    for values in zip(*((span.first, span.epoch.number) for span in case.log.spans), strict=True):
        if list(values) != sorted(set(values)):
            yield Violation("fencing", f"The spans do not ascend: {case.log.spans}")
    spans: dict[int, list[Written]] = {}
    for record in written(case.log):
        spans.setdefault(record.span, []).append(record)
    for span, records in spans.items():
        if not _begins_as_its_own(span, records):
            what = f"Record {records[0].number} is no beginning of a new attempt or of a stop"
            yield Violation("fencing", f"{what}: {records[0].chunk}", records[0].number)


def _begins_as_its_own(span: int, records: Sequence[Written]) -> bool:
    """Whether the first records of an epoch are what a new writer begins with.

    That is the log's `start`, the notice that tells of the takeover, or a stop's last records.
    """
    first = records[0]
    if first.number == 1:
        return span == 0 and first.kind == "start"
    if first.kind == "data-run":
        return bool(first.chunk["data"]["event"] == "takeover")
    return records[-1].kind == "abort" and all(record.kind in _CLOSING for record in records)


def _failure(case: Case) -> Iterator[Violation]:
    fold = Fold.of(case.log.records)
    used = case.run.takeovers + fold.retries + 1
    if case.run.status is Status.FAILED:
        sentence = fold.failed or ""
        if not sentence.startswith(_FEW_ATTEMPTS):
            yield Violation("honest-failure", f"It failed with {sentence!r}")
        elif used < case.attempts:
            yield Violation("honest-failure", f"It failed after {used} of {case.attempts} attempts")
    elif case.run.status is Status.FINISHED and used > case.attempts:
        yield Violation("honest-failure", f"It went on to attempt {used} of {case.attempts}")
