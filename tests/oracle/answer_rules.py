"""Invariants of answers: one end, the fold, one clean text, honest failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from durable_llm_streams.chunks import decode
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Status

from .evidence import ENDS, TERMINAL, Answer, Evidence, unmarked
from .violation import Violation

#: How the sentence of a failure begins that the provider did not decide.
_OUT_OF_ATTEMPTS: Final = "The answer could not be completed in "


def one_end(evidence: Evidence) -> Iterator[Violation]:
    """One `start`, the first record; one terminal record, the last, of the kind of the status."""
    for answer in evidence.answers.values():
        status, name = answer.run.status, answer.name
        kinds = [decode(record)["type"] for record in answer.log.records]
        ends = [number for number, kind in enumerate(kinds, 1) if kind in TERMINAL]
        if not status.ended:
            if ends:
                yield Violation("one-end", f"{name} is {status}, with an end at record {ends[0]}")
        elif ends != [len(kinds)] or kinds[-1] != ENDS[status]:
            what = f"{name} is {status}: expected one `{ENDS[status]}` as record {len(kinds)}"
            yield Violation("one-end", f"{what}, got ends at {ends} and {kinds[-3:]}", len(kinds))
        if kinds and (kinds.count("start") != 1 or kinds[0] != "start"):
            starts = [number for number, kind in enumerate(kinds, 1) if kind == "start"]
            yield Violation("one-end", f"{name} has `start` at {starts}, expected [1]")
        if status.ended and answer.active is not None:
            yield Violation(
                "one-end", f"{name} is {status}; a server says {answer.active} is active"
            )


def history_is_the_fold(evidence: Evidence) -> Iterator[Violation]:
    """The stored message, and the one in the history that a server returns, are the log's fold."""
    for answer in evidence.answers.values():
        if not answer.run.status.ended:
            continue
        fold, name = Fold.of(answer.log.records), answer.name
        if fold.open_parts:
            yield Violation("history-is-fold", f"{name} leaves parts open: {fold.open_parts}")
        if answer.message is not None:
            stored = decode(answer.message) if answer.message else None
            if stored != fold.message():
                what = f"the message of {name} is {stored!r}, its log folds to {fold.message()!r}"
                yield Violation("history-is-fold", what)
        yield from _history(answer, fold)


def _history(answer: Answer, fold: Fold) -> Iterator[Violation]:
    if answer.history is None:
        return
    messages = list(answer.history)
    ids = [message.get("id") for message in messages]
    if answer.branch and ids != list(answer.branch):
        yield Violation("history-is-fold", f"the history is {ids}, expected {list(answer.branch)}")
    elif (roles := [message["role"] for message in messages[-2:]]) != ["user", "assistant"]:
        yield Violation("history-is-fold", f"the history ends with the roles {roles}")
    elif messages[-1] != fold.message():
        what = f"a server says {messages[-1]!r}, the log of {answer.name} folds to"
        yield Violation("history-is-fold", f"{what} {fold.message()!r}")


def one_clean_answer(evidence: Evidence) -> Iterator[Violation]:
    """At every record the text is a prefix of the expected one; a finished one is all of it.

    What stands before a `reset-step` is void.
    """
    for answer in evidence.answers.values():
        for kind, expected in (("text", answer.expected), ("reasoning", answer.thoughts)):
            if expected is not None:
                yield from _clean(answer, kind, expected)


def _clean(answer: Answer, kind: str, expected: str) -> Iterator[Violation]:
    said, name = "", f"{answer.run.status} {answer.name}"
    for number, record in enumerate(answer.log.records, 1):
        chunk = decode(record)
        if chunk["type"] == "reset-step":
            said = ""
        elif chunk["type"] == f"{kind}-delta":
            said += unmarked(chunk["delta"])
            if not expected.startswith(said):
                right = _common(said, expected)
                what = f"the {kind} of {name} goes on with {said[right:][:60]!r} behind"
                what = f"{what} {said[:right][-60:]!r}, expected {expected[right:][:60]!r}"
                yield Violation("one-clean-answer", what, number)
                return
    if answer.run.status is Status.FINISHED and said != expected:
        what = f"the {kind} of {name} ends behind {said[-60:]!r}, missing is"
        yield Violation("one-clean-answer", f"{what} {expected[len(said) :][:60]!r}")


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def failures_are_honest(evidence: Evidence) -> Iterator[Violation]:
    """Every accepted message comes to an end, within its attempts, and no failure comes early."""
    for accepted in () if evidence.lost_tails else evidence.accepted:
        if accepted.run_id not in evidence.answers and accepted.chat not in evidence.deleted:
            what = f"{accepted.key} was accepted as run {accepted.run_id[-4:]}, which is not there"
            yield Violation("honest-failure", what)
    for answer in evidence.answers.values():
        if not answer.run.status.ended:
            what = f"{answer.name} never ended: it is {answer.run.status}"
            yield Violation("honest-failure", what)
        elif evidence.attempts is not None:
            yield from _budget(answer, evidence.attempts, answer.asks in evidence.refused)


def _budget(answer: Answer, allowed: int, refused: bool) -> Iterator[Violation]:
    fold, run = Fold.of(answer.log.records), answer.run
    metadata: dict[str, Any] = fold.metadata or {}
    used = run.takeovers + fold.retries + 1
    if metadata.get("status", run.status) != run.status:
        what = f"{answer.name} is {run.status}, its message says {metadata['status']}"
        yield Violation("honest-failure", what)
    if (named := metadata.get("attempts", 1)) > allowed:
        what = f"{answer.name} names {named} attempts, {allowed} are allowed"
        yield Violation("honest-failure", what)
    if run.status is Status.FINISHED and used > allowed:
        what = f"{answer.name} finished in attempt {used}, {allowed} are allowed"
        yield Violation("honest-failure", what)
    if run.status is Status.FAILED and not refused:
        if min(used, named) < allowed:
            what = f"{answer.name} gave up after {min(used, named)} of {allowed} attempts"
            yield Violation("honest-failure", f"{what}: {fold.failed}")
        elif not (fold.failed or "").startswith(_OUT_OF_ATTEMPTS):
            yield Violation("honest-failure", f"{answer.name} failed with {fold.failed!r}")


def requests_have_reasons(evidence: Evidence) -> Iterator[Violation]:
    """The provider is asked once for a run, and again for each failure, within the budget."""
    if evidence.requests is None or evidence.lost_tails:
        return
    most: Counter[str] = Counter()
    for answer in evidence.answers.values():
        if answer.run.chat_id not in evidence.deleted:  # there were more runs, which are gone
            reasons = 1 + answer.run.takeovers + Fold.of(answer.log.records).retries
            allowed = reasons if evidence.attempts is None else min(reasons, evidence.attempts)
            most[answer.asks] += allowed + evidence.excused
    for question, times in most.items():
        if (asked := evidence.requests.get(question, 0)) > times:
            what = f"the provider was asked {asked} times for {question}, with reasons for {times}"
            yield Violation("honest-failure", what)


def tool_results_come_once(evidence: Evidence) -> Iterator[Violation]:
    """The result of a tool call is in the log once."""
    for answer in evidence.answers.values():
        results = Counter(
            chunk["toolCallId"]
            for chunk in map(decode, answer.log.records)
            if chunk["type"] in ("tool-output-available", "tool-output-error")
        )
        for call, count in results.items():
            if count > 1:
                what = f"{answer.name} has {count} results of the tool call {call}"
                yield Violation("tool-once", what)


def secrets_stay_secret(evidence: Evidence) -> Iterator[Violation]:
    """What the provider writes into its errors, and its key, reach no reader."""
    for answer in evidence.answers.values():
        for number, record in enumerate((*answer.log.records, answer.message or b""), 1):
            for secret in evidence.secrets:
                if secret in record:
                    what = f"{answer.name} has the secret {secret!r} in {record!r}"
                    yield Violation("no-secrets", what, number)


def retention_is_kept(evidence: Evidence) -> Iterator[Violation]:
    """Nothing expires early, everything expires in time, and late readers get the right status."""
    for look in evidence.looks:
        if look.status == 200:
            if look.since > look.latest:
                what = f"{look.what} is there at {look.since:.1f} s, it had to go"
                yield Violation("bounded", f"{what} by {look.latest:.1f} s")
        elif look.until < look.earliest:
            what = f"{look.what} is gone at {look.until:.1f} s (HTTP {look.status}), it must stay"
            yield Violation("bounded", f"{what} until {look.earliest:.1f} s")
        elif look.status not in look.gone:
            what = f"{look.what} is gone, the reader got HTTP {look.status}"
            yield Violation("lost-tail-is-told", f"{what}, expected {sorted(look.gone)}")


def nothing_is_left(evidence: Evidence) -> Iterator[Violation]:
    """No lease, task, connection, process or key is left behind."""
    for leak in evidence.leaks:
        yield Violation("no-leak", leak)
