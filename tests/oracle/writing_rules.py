"""Invariants of writers: fencing, stops, duplicates, takeovers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from durable_llm_streams.chunks import decode
from durable_llm_streams.model import Status

from .evidence import Answer, Appended, Claimed, Evidence, Log, requests_in
from .violation import Violation

#: The kinds of records that end a run, besides the terminal one.
_CLOSING: Final = ("text-end", "reasoning-end", "message-metadata", "finish-step")

#: Faults that may cost a worker its run.
_COST_A_RUN: Final = frozenset(
    {
        *("kill", "freeze", "clock", "slow", "fail", "unknown", "twice", "lose-renewal"),
        *("lose-command", "lose-reply", "stall-command", "cut-subscriber"),
        *("restart-store", "lose-tail", "store-clock"),
    }
)


# --- fencing -------------------------------------------------------------------------------------


def claims_fence(evidence: Evidence) -> Iterator[Violation]:
    """After a claim nothing of an older epoch is appended, and no epoch has two holders."""
    if evidence.lost_tails or evidence.claims is None:
        return  # a claim can be lost, too
    claims: dict[str, list[Claimed]] = defaultdict(list)
    for claimed in evidence.claims:
        claims[claimed.claim.run.id].append(claimed)
    for call in evidence.appended or ():
        item = call.item
        for process, claim, at in claims[item.run_id]:
            newer = claim.epoch.number > item.epoch.number and at < call.began
            if call.stands and newer and item.at + len(item.records) > claim.next_seq:
                what = f"{call.process} appended record {item.at} of run {item.run_id[-4:]} under"
                what = f"{what} epoch {item.epoch.number}, after {process} had claimed"
                yield Violation("fencing", f"{what} {claim.epoch.number}", item.at)
    for run_id, held in claims.items():
        numbers = Counter(claimed.claim.epoch.number for claimed in held)
        if shared := [
            f"{c.process} {c.claim.epoch}" for c in held if numbers[c.claim.epoch[0]] > 1
        ]:
            what = f"run {run_id[-4:]} was claimed twice under one number: {shared}"
            yield Violation("fencing", what)


def every_record_has_its_writer(evidence: Evidence) -> Iterator[Violation]:
    """No record is in a log that its epoch's writer did not append; but for those of the end.

    A refused append counts: it may be the repetition of one whose answer was lost.
    """
    if evidence.appended is None:
        return
    calls: dict[str, list[Appended]] = defaultdict(list)
    for call in evidence.appended:
        calls[call.item.run_id].append(call)
    for run_id, answer in evidence.answers.items():
        yield from _unexplained(answer, calls[run_id])


def _unexplained(answer: Answer, calls: Sequence[Appended]) -> Iterator[Violation]:
    tried = {
        (call.item.epoch, number): record
        for call in calls
        for number, record in enumerate(call.item.records, call.item.at)
    }
    end = 0
    for number, record in enumerate(answer.log.records, 1):
        epoch = answer.log.spans[answer.log.span_of(number)].epoch
        if tried.get((epoch, number)) != record:
            end = end or number
        elif end:
            what = f"no writer of the epoch appended record {end} of {answer.name}"
            yield Violation("fencing", what, end)
            return
    if end and not answer.run.status.ended:
        what = f"no writer appended record {end} of {answer.name}, which has not ended"
        yield Violation("fencing", what, end)


def epochs_do_not_mix(evidence: Evidence) -> Iterator[Violation]:
    """Spans ascend; each begins as a new writer does; no request's words stand in two of them."""
    for answer in evidence.answers.values():
        log = answer.log
        for column in zip(*((span.first, span.epoch.number) for span in log.spans), strict=True):
            if list(column) != sorted(set(column)):
                what = f"the spans of {answer.name} do not ascend: {log.spans}"
                yield Violation("fencing", what)
        if late := late_records(log):
            what = f"records {late} of {answer.name} are of an old epoch, behind a newer claim"
            yield Violation("fencing", what, late[0])
        for index, span in enumerate(log.spans):
            chunks = [decode(record) for record in log.written_under(index)]
            if chunks and not _begins_an_epoch(index, chunks):
                what = f"record {span.first} of {answer.name} begins an epoch with {chunks[0]},"
                what = f"{what} which is neither a takeover nor a run's end"
                yield Violation("fencing", what, span.first)


def late_records(log: Log) -> list[int]:
    """Records with words of a request whose first words stand in an earlier epoch."""
    first: dict[str, int] = {}
    late = []
    for number, record in enumerate(log.records, 1):
        chunk = decode(record)
        if chunk["type"] == "text-delta":
            span = log.span_of(number)
            spans = [first.setdefault(name, span) for name in requests_in(chunk["delta"])]
            if any(each != span for each in spans):
                late.append(number)
    return late


def _begins_an_epoch(index: int, chunks: Sequence[dict[str, Any]]) -> bool:
    first = chunks[0]
    if first["type"] == "start":
        return index == 0
    if first["type"] == "data-run":
        return bool(first["data"]["event"] == "takeover")
    return chunks[-1]["type"] == "abort" and all(c["type"] in _CLOSING for c in chunks[:-1])


# --- stops ---------------------------------------------------------------------------------------


def stops_are_final(evidence: Evidence) -> Iterator[Violation]:
    """After an acknowledged stop the run has ended, as stopped, and no record follows."""
    for stop in () if evidence.lost_tails else evidence.stops:
        if stop.run_id is None or stop.chat in evidence.deleted:
            continue
        name = f"run {stop.run_id[-4:]}"
        if stop.ended is False:
            yield Violation("stop", f"a stop of {name} was acknowledged before the run had ended")
        answer = evidence.answers.get(stop.run_id)
        status = answer.run.status if answer else "not there"
        if answer is None or (stop.by_this and status is not Status.STOPPED):
            yield Violation("stop", f"{name} was stopped, but it is {status}")
        elif stop.length is not None and stop.length != len(answer.log.records):
            what = f"{name} had {stop.length} records when its stop was acknowledged, and has"
            yield Violation("stop", f"{what} {len(answer.log.records)} now", stop.length + 1)


def a_stop_has_its_own_epoch(evidence: Evidence) -> Iterator[Violation]:
    """A stop claims the run: the old writer is fenced whether or not it is notified."""
    for answer in evidence.answers.values():
        if answer.run.status is Status.STOPPED and answer.log.spans:
            last = len(answer.log.spans) - 1
            kinds = [decode(record)["type"] for record in answer.log.written_under(last)]
            if any(kind.endswith("-delta") for kind in kinds):
                what = f"{answer.name} was stopped under the epoch that wrote its text"
                yield Violation("fencing", what, answer.log.spans[last].first)


# --- duplicates ----------------------------------------------------------------------------------


def duplicates_make_no_run(evidence: Evidence) -> Iterator[Violation]:
    """The same message sent again makes no second run, and is not found in another chat."""
    runs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for accepted in () if evidence.lost_tails else evidence.accepted:
        if accepted.chat not in evidence.deleted:
            runs[accepted.chat, accepted.key].add(accepted.run_id)
        answer = evidence.answers.get(accepted.run_id)
        if answer is not None and answer.run.chat_id != accepted.chat:
            what = f"{accepted.key} of chat {accepted.chat} was given {answer.name} of chat"
            yield Violation("idempotent-send", f"{what} {answer.run.chat_id}")
    for (chat, key), found in runs.items():
        if len(found) > 1:
            yield Violation(
                "idempotent-send", f"{key} of chat {chat} was accepted as the runs {sorted(found)}"
            )
    stored = {run.id: run for run in evidence.runs}
    stored |= {answer.run.id: answer.run for answer in evidence.answers.values()}
    made = Counter((run.chat_id, run.key) for run in stored.values() if run.key is not None)
    for (chat, made_for), count in made.items():
        if count > 1:
            yield Violation("idempotent-send", f"{count} runs of chat {chat} are for {made_for}")


# --- takeovers -----------------------------------------------------------------------------------


def no_takeover_without_a_reason(evidence: Evidence) -> Iterator[Violation]:
    """Heartbeats keep leases, and planned ends give runs back: neither counts as a takeover."""
    faults = evidence.faults
    if faults is None or any(faults.get(kind) for kind in _COST_A_RUN):
        return
    for answer in evidence.answers.values():
        if answer.run.takeovers:
            what = f"{answer.name} was taken over {answer.run.takeovers} times, and no fault"
            yield Violation("takeover", f"{what} cost its worker the lease")
