"""Invariants of readers: a prefix of the log, at every moment, to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from durable_llm_streams.chunks import merge
from durable_llm_streams.model import Cursor, token_at

from .evidence import Evidence, Frame, Log, Reading
from .violation import Violation


def frames_of_log(
    frames: Sequence[Frame], log: Log, after: int, *, tokens: bool = True
) -> Iterator[Violation]:
    """That events are the records of a log behind record `after`, and name their writers.

    An event is one record, or neighbouring deltas merged. The check is incremental: it holds for
    all events if it holds for the first ones and for those behind them.

    Args:
        frames: the events.
        log: the log; it may be longer than what was read.
        after: the record behind which the first event must follow.
        tokens: whether the log's spans are known.
    """
    records = log.records
    for cursor, data in frames:
        part = records[after : cursor.seq]
        if cursor.seq <= after:
            yield Violation("prefix", f"record {cursor.seq} came behind record {after}", cursor.seq)
        elif len(part) < cursor.seq - after:
            what = f"record {cursor.seq} was read, the log ends at record {len(records)}"
            yield Violation("seen-is-durable", what, cursor.seq)
        else:
            if data != (expected := part[0] if len(part) == 1 else _merged(part)):
                what = f"expected {expected!r} after record {after}, got {data!r}"
                yield Violation("prefix", f"{what} up to record {cursor.seq}", cursor.seq)
            if tokens and cursor.token != token_at(log.spans, cursor.seq):
                what = f"the cursor {cursor} names an epoch that did not write it: {log.spans}"
                yield Violation("prefix", what, cursor.seq)
        after = cursor.seq


def _merged(part: Sequence[bytes]) -> bytes | None:
    whole = merge(list(part))
    return whole[0][1] if len(whole) == 1 else None


class GrowingLog:
    """Looks at a reader again and again: its events and the log may only grow."""

    def __init__(self) -> None:
        self.log = Log()
        self._checked: dict[int, int] = {}  # by the id of a reading: events that were looked at

    def look(self, reading: Reading, log: Log) -> list[Violation]:
        """What is wrong with a reader now."""
        found = self.grown(log)
        done = self._checked.get(id(reading), 0)
        before = reading.frames[done - 1].cursor if done else reading.after
        fresh = reading.frames[done:]
        found += frames_of_log(fresh, log, before.seq if before is not None else 0)
        self._checked[id(reading)] = done + len(fresh)
        return [violation._replace(what=f"{reading.who}: {violation.what}") for violation in found]

    def grown(self, log: Log) -> list[Violation]:
        """What is wrong if the log is not what it was at the last look, and more."""
        known, self.log = self.log, Log(list(log.records), log.spans)
        for number, (before, now) in enumerate(zip(known.records, log.records, strict=False), 1):
            if before != now:
                return [Violation("prefix", f"record {number} was {before!r}, is {now!r}", number)]
        if len(log.records) < len(known.records):
            what = f"the log had {len(known.records)} records, has {len(log.records)}"
            return [Violation("seen-is-durable", what)]
        return []


def readers_have_the_log(evidence: Evidence) -> Iterator[Violation]:
    """What any reader received is a prefix of the log, and a reader that is done has all of it.

    Where the store lost its last writes: of the log as it is or as it was, never of a mixture.
    """
    for reading in _present(evidence):
        run_id = reading.run_id
        if run_id is None or (not reading.frames and not reading.ended):
            continue
        before = [Log(logs[run_id]) for logs in evidence.lost_tails if run_id in logs]
        answer = evidence.answers.get(run_id)
        if answer is None and not before:
            what = f"{reading.who} has events of run {run_id[-4:]}, which is not in the store"
            yield Violation("seen-is-durable", what)
            continue
        now = [] if answer is None else list(_of_log(reading, answer.log, tokens=True))
        if answer is not None and not now:
            continue
        if all(list(_of_log(reading, log, tokens=False)) for log in before):
            wrong = now or list(_of_log(reading, before[-1], tokens=False))
            what = "; ".join(violation.what for violation in wrong)
            yield wrong[0]._replace(what=f"{reading.who}: {what}")


def _of_log(reading: Reading, log: Log, *, tokens: bool) -> Iterator[Violation]:
    after = reading.after.seq if reading.after is not None else 0
    yield from frames_of_log(reading.frames, log, after, tokens=tokens)
    if reading.ended and reading.last < len(log.records):
        what = f"nothing more is said to come after record {reading.last} of {len(log.records)}"
        yield Violation("prefix", what, reading.last)


def readers_come_to_the_end(evidence: Evidence) -> Iterator[Violation]:
    """No reader breaks off, is sent away without a reason, or waits for what others have."""
    for reading in evidence.readings:
        if reading.error is not None:
            yield reading.error._replace(what=f"{reading.who}: {reading.error.what}")
            continue
        if reading.delay > evidence.patience:
            what = f"{reading.who} waited {reading.delay:.1f} s for a committed record"
            yield Violation("prefix", f"{what}; at most {evidence.patience:g} s are allowed")
        if reading.chat in evidence.deleted:
            continue
        if reading.lost and not evidence.lost_tails:
            what = f"{reading.who} got {reading.lost} for the cursor {reading.cursor}"
            yield Violation("lost-tail-is-told", f"{what}, but nothing was lost or deleted")
        if not (reading.ended or reading.lost or reading.left):
            yield Violation("prefix", f"{reading.who} still waits behind record {reading.last}")


def delays(
    readings: Sequence[Reading],
    committed: Mapping[tuple[str, int], float] | None = None,
    waited: Callable[[float, float], float] = lambda since, until: until - since,
) -> dict[str, float]:
    """By reader: the longest time that it waited for a record which was there.

    A record is there when it is known to be committed, or when another reader has it. Waiting
    begins with the connection that brought the record. Slow readers do not count.

    Args:
        readings: all of them.
        committed: when records were committed, by run and number, where that is known.
        waited: the seconds between two times that count.
    """
    there: dict[Cursor, float] = {}
    for reading in readings:
        for frame, came in zip(reading.frames, reading.came, strict=True):
            at = min(came, (committed or {}).get(frame.cursor[:2], came))
            there[frame.cursor] = min(at, there.get(frame.cursor, at))
    return {
        reading.who: max(
            (
                waited(max(since, there[frame.cursor]), came)
                for frame, came, since in zip(
                    reading.frames, reading.came, reading.since, strict=True
                )
            ),
            default=0.0,
        )
        for reading in readings
        if not reading.slow
    }


def _present(evidence: Evidence) -> Iterator[Reading]:
    for reading in evidence.readings:
        if reading.chat not in evidence.deleted and reading.error is None:
            yield reading
