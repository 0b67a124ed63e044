"""What must hold of every history, whatever went wrong in it.

Each rule is a function that looks at the evidence and tells every breach of one promise. The
evidence is what clients received, what processes were told by the store, and what the store holds
at the end; nothing of it comes from the code under test's own opinion of itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from durable_llm_streams.chunks import decode, merge
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Run, Span, Status, token_at

from .injected_store import Claimed, Written
from .people import TERMINAL, Asked, Reading, Stopped
from .question import Question
from .saying import SECRET


@dataclass
class Truth:
    """A run as the store holds it at the end.

    Attributes:
        records: its log.
        message: the answer in the history.
    """

    run: Run
    records: Sequence[bytes]
    message: bytes


@dataclass
class Evidence:
    """All that is known of a history at its end.

    Attributes:
        truths: the runs, by id.
        questions: by the id of their message.
        attempts: the budget.
        requests: how often the provider was asked, by question.
        refused: questions that the provider refused for good.
        excused: how many attempts count as no failure: planned ends, refused beginnings.
        forgotten: the logs as they were each time before the store forgot its last writes.
        leaks: what was left behind.
        faults: how often each kind struck; None where that is not known.
    """

    truths: Mapping[str, Truth] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    readings: Sequence[Reading] = ()
    asked: Sequence[Asked] = ()
    stopped: Sequence[Stopped] = ()
    deleted: frozenset[str] = frozenset()
    written: Sequence[Written] = ()
    claims: Sequence[Claimed] = ()
    attempts: int = 5
    requests: Mapping[str, int] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    excused: int = 0
    forgotten: Sequence[Mapping[str, Sequence[bytes]]] = ()
    leaks: Sequence[str] = ()
    faults: Mapping[str, int] | None = None


#: What may cost a worker that lives on its runs, or its life.
_COSTS_RUNS: Final = frozenset(
    {
        *("kill", "freeze", "clock", "slow", "fail", "unknown", "twice", "lose-renewal"),
        *("lose-command", "lose-reply", "stall-command"),
        *("restart-store", "lose-tail", "store-clock"),
    }
)

Rule = Callable[[Evidence], Iterator[str]]


def prefix(evidence: Evidence) -> Iterator[str]:
    """What any reader has received is a prefix of the log; who is at the end has all of it.

    Where the store has forgotten its last writes: of the log as it is or as it was, but never of
    a mixture.
    """
    for reading in _present(evidence):
        run_id = reading.frames[0].cursor.run_id
        wrongs = []
        if (truth := evidence.truths.get(run_id)) is not None:
            beyond = _beyond(reading, truth.records) if evidence.forgotten else ()
            wrong = _wrong(reading, truth.records, truth.run.spans)
            wrongs.append(" ".join((*wrong, *beyond)))
        before = [logs[run_id] for logs in evidence.forgotten if run_id in logs]
        wrongs += [
            " ".join((*_wrong(reading, records, ()), *_beyond(reading, records)))
            for records in before
        ]
        if wrongs and all(wrongs):
            yield wrongs[0]


def _wrong(reading: Reading, records: Sequence[bytes], spans: tuple[Span, ...]) -> Iterator[str]:
    """What a reader has that is not in a log. What is behind the log's end: see `_beyond`."""
    at = reading.after.seq if reading.after else 0
    for frame in reading.frames:
        part = records[at : frame.cursor.seq]
        if frame.cursor.seq <= at:
            yield f"{reading.who} got record {frame.cursor.seq} behind record {at}"
        elif len(part) == frame.cursor.seq - at:
            if frame.data != (part[0] if len(part) == 1 else _merged(part)):
                yield f"{reading.who} got {frame.data!r} up to record {frame.cursor.seq}, but the "
                yield f"log has {part!r}"
            if spans and frame.cursor.token != token_at(spans, frame.cursor.seq):
                yield f"{reading.who} got {frame.cursor}, which {spans} did not write"
        at = frame.cursor.seq
    if reading.ended and at < len(records):
        yield f"{reading.who} is done at record {at} of {len(records)}"


def _beyond(reading: Reading, records: Sequence[bytes]) -> Iterator[str]:
    """What a reader has behind a log's end."""
    if (last := reading.frames[-1].cursor.seq) > len(records):
        yield f"{reading.who} has record {last}, the log has {len(records)}"


def seen_is_durable(evidence: Evidence) -> Iterator[str]:
    """A record that a reader has is in the log."""
    if evidence.forgotten:
        return  # then `prefix` asks it of the logs as they were, too
    for reading in _present(evidence):
        run_id = reading.frames[0].cursor.run_id
        if run_id in evidence.truths:
            yield from _beyond(reading, evidence.truths[run_id].records)
        else:
            yield f"{reading.who} reads run {run_id[-4:]}, which is not there"


def fencing(evidence: Evidence) -> Iterator[str]:
    """After a claim nothing of an older epoch is appended."""
    claims: dict[str, list[Claimed]] = defaultdict(list)
    for claimed in () if evidence.forgotten else evidence.claims:  # a claim can be forgotten, too
        claims[claimed.claim.run.id].append(claimed)
    for written in evidence.written:
        item = written.item
        for process, claim, at in claims[item.run_id]:
            newer = claim.epoch.number > item.epoch.number and at < written.began
            beyond = item.at + len(item.records) > claim.next_seq
            if written.stands and newer and beyond:
                yield f"{written.process} appended record {item.at} of run {item.run_id[-4:]} "
                yield f"under epoch {item.epoch.number}, after {process} held "
                yield f"{claim.epoch.number}"
    for run_id, held in claims.items():
        if shared := _shared(held):
            yield f"run {run_id[-4:]} was held more than once under the same number: {shared}"
    for run_id, truth in evidence.truths.items():
        yield from _unexplained(run_id, truth, evidence.written)


def _shared(claims: Sequence[Claimed]) -> list[str]:
    """Who shares a number with another holder: a claim raises it, and one process is told of it."""
    numbers = Counter(claimed.claim.epoch.number for claimed in claims)
    return [f"{c.process} {c.claim.epoch}" for c in claims if numbers[c.claim.epoch.number] > 1]


def _unexplained(run_id: str, truth: Truth, written: Sequence[Written]) -> Iterator[str]:
    """Records in the log that nobody tried to write there; but for those of the end.

    What was refused counts as tried: it may be the repetition of a call whose answer was lost.
    """
    tried = {
        (call.item.epoch, seq): record
        for call in written
        if call.item.run_id == run_id
        for seq, record in enumerate(call.item.records, call.item.at)
    }
    end = None
    for seq, record in enumerate(truth.records, 1):
        epoch = next(span.epoch for span in reversed(truth.run.spans) if span.first <= seq)
        if tried.get((epoch, seq)) != record:
            end = end or seq
        elif end is not None:
            yield f"run {run_id[-4:]} has record {end} under epoch {epoch.number}, which no writer "
            yield "of that epoch tried to write"
            return
    if end is not None and not truth.run.status.ended:
        yield f"run {run_id[-4:]} has not ended, and nobody tried to write its record {end}"


def one_end(evidence: Evidence) -> Iterator[str]:
    """Exactly one terminal record, the last one, of the same kind as the status."""
    kinds = {Status.FINISHED: "finish", Status.FAILED: "error", Status.STOPPED: "abort"}
    for run_id, truth in evidence.truths.items():
        found = [decode(record)["type"] for record in truth.records]
        ends = [index for index, kind in enumerate(found) if kind in TERMINAL]
        if not truth.run.status.ended:
            if ends:
                yield f"run {run_id[-4:]} is {truth.run.status} and has a terminal record"
        elif ends != [len(found) - 1] or found[-1] != kinds[truth.run.status]:
            yield f"run {run_id[-4:]} is {truth.run.status}, its log has {found[-3:]} at its end "
            yield f"and terminal records at {ends}"
        if found.count("start") > 1:
            yield f"run {run_id[-4:]} begins more than once"


def stop(evidence: Evidence) -> Iterator[str]:
    """After an acknowledged stop no record follows."""
    for stopped in () if evidence.forgotten else evidence.stopped:
        if stopped.run_id is None or stopped.chat in evidence.deleted:
            continue
        truth = evidence.truths.get(stopped.run_id)
        if truth is None or truth.run.status is not Status.STOPPED:
            status = truth.run.status if truth else "not there"
            yield f"the stop of run {stopped.run_id[-4:]} was acknowledged, but it is {status}"
        elif stopped.length is not None and stopped.length != len(truth.records):
            yield f"run {stopped.run_id[-4:]} was stopped with {stopped.length} records and has "
            yield f"{len(truth.records)} now"


def one_run(evidence: Evidence) -> Iterator[str]:
    """The same message sent again makes no second run."""
    runs: dict[str, set[str]] = defaultdict(set)
    for asked in () if evidence.forgotten else evidence.asked:
        if asked.chat not in evidence.deleted:
            runs[asked.key].add(asked.run_id)
    for key, found in runs.items():
        if len(found) > 1:
            yield f"{key} was accepted as the runs {sorted(found)}"
    made = Counter(truth.run.key for truth in evidence.truths.values() if truth.run.key is not None)
    for made_for, count in made.items():
        if count > 1:
            yield f"there are {count} runs for {made_for}"


def history(evidence: Evidence) -> Iterator[str]:
    """The stored message is the fold of the log."""
    for run_id, truth in evidence.truths.items():
        if truth.run.status.ended:
            fold = Fold.of(truth.records)
            if fold.open_parts:
                yield f"run {run_id[-4:]} leaves parts open: {fold.open_parts}"
            if not truth.message or decode(truth.message) != fold.message():
                yield f"the message of run {run_id[-4:]} is {truth.message!r}, but its log folds "
                yield f"to {fold.message()!r}"


def honest(evidence: Evidence) -> Iterator[str]:
    """Every accepted message ends, with its answer or within the budget; no word twice."""
    for asked in () if evidence.forgotten else evidence.asked:
        if asked.run_id not in evidence.truths and asked.chat not in evidence.deleted:
            yield f"{asked.key} was accepted as run {asked.run_id[-4:]}, which is not there"
    for run_id, truth in evidence.truths.items():
        run = truth.run
        if not run.status.ended:
            yield f"run {run_id[-4:]} never ended: it is {run.status}"
            continue
        question = evidence.questions[run.prompt_id]
        fold = Fold.of(truth.records)
        for kind, asked_for in (("text", question.answer), ("reasoning", _thoughts(question))):
            text = "".join(part["text"] for part in fold.parts if part["type"] == kind)
            whole = run.status is Status.FINISHED
            if text != asked_for if whole else not asked_for.startswith(text):
                yield f"the {run.status} answer of run {run_id[-4:]} has the {kind} {text!r}, "
                yield f"asked was {question}"
        yield from _budget(run, fold.metadata or {}, evidence)
    yield from _asked_for_nothing(evidence)


def _asked_for_nothing(evidence: Evidence) -> Iterator[str]:
    """The provider is asked once for a run, and again for each failure, within the budget."""
    most: Counter[str] = Counter()
    for truth in () if evidence.forgotten else evidence.truths.values():
        if truth.run.chat_id in evidence.deleted:
            continue  # there were more runs, which are gone
        told = 1 + truth.run.takeovers + Fold.of(truth.records).retries
        most[truth.run.prompt_id] += min(told, evidence.attempts) + evidence.excused
    for name, times in most.items():
        if evidence.requests.get(name, 0) > times:
            yield f"the provider was asked {evidence.requests[name]} times for {name}, which had "
            yield f"reasons for {times}"


def _thoughts(question: Question) -> str:
    """What the model thinks before it answers."""
    return "".join(f"{question.name}-thought-{n} " for n in range(question.thoughts))


def _budget(run: Run, metadata: Mapping[str, Any], evidence: Evidence) -> Iterator[str]:
    attempts = metadata.get("attempts", 1)
    if attempts > evidence.attempts:
        yield f"run {run.id[-4:]} tells of {attempts} attempts, {evidence.attempts} are allowed"
    gave_up = run.status is Status.FAILED and attempts < evidence.attempts
    if gave_up and run.prompt_id not in evidence.refused:
        yield f"run {run.id[-4:]} gave up after {attempts} of {evidence.attempts} attempts: "
        yield f"{metadata.get('error')}"


def takeover(evidence: Evidence) -> Iterator[str]:
    """Nobody is taken over for nothing: heartbeats keep leases, planned ends give runs back."""
    faults = evidence.faults
    if faults is None or any(faults.get(kind) for kind in _COSTS_RUNS):
        return
    for run_id, truth in evidence.truths.items():
        if truth.run.takeovers:
            yield f"run {run_id[-4:]} was taken over {truth.run.takeovers} times for nothing"


def tools_once(evidence: Evidence) -> Iterator[str]:
    """The result of a tool call stands in the log once."""
    for run_id, truth in evidence.truths.items():
        results = Counter(
            chunk["toolCallId"]
            for chunk in map(decode, truth.records)
            if chunk["type"] in ("tool-output-available", "tool-output-error")
        )
        for call, count in results.items():
            if count > 1:
                yield f"run {run_id[-4:]} has {count} results of the tool call {call}"


def secrets(evidence: Evidence) -> Iterator[str]:
    """What the provider writes into its errors, and the key, reach no reader."""
    for run_id, truth in evidence.truths.items():
        for record in (*truth.records, truth.message):
            if SECRET.encode() in record:
                yield f"run {run_id[-4:]} tells a secret: {record!r}"


def nothing_left(evidence: Evidence) -> Iterator[str]:
    """No lease, task, connection or key is left behind."""
    yield from evidence.leaks


#: The rules, by the promises that they watch.
RULES: Final[Mapping[str, Rule]] = {
    "prefix": prefix,
    "seen-is-durable": seen_is_durable,
    "fencing": fencing,
    "one-end": one_end,
    "stop": stop,
    "idempotent-send": one_run,
    "history-is-fold": history,
    "honest-failure": honest,
    "takeover": takeover,
    "tool-once": tools_once,
    "no-secrets": secrets,
    "no-leak": nothing_left,
}


def breaches(evidence: Evidence) -> list[str]:
    """Every breach of every rule, as `promise: what happened`."""
    found = []
    for promise, rule in RULES.items():
        text = " ".join(rule(evidence))
        if text:
            found.append(f"{promise}: {text}")
    return found


def _present(evidence: Evidence) -> Iterator[Reading]:
    """Readings of answers that are still there, with something in them."""
    for reading in evidence.readings:
        if reading.frames and not reading.lost and reading.chat not in evidence.deleted:
            yield reading


def _merged(part: Sequence[bytes]) -> bytes | None:
    whole = merge(list(part))
    return whole[0][1] if len(whole) == 1 else None
