"""Sound evidence has no violations; each tampered part breaks the expected promise."""

from __future__ import annotations

from typing import Any

import pytest

from durable_llm_streams.model import Status

from .evidence import Evidence
from .invariants import INVARIANTS, violations
from .reading_rules import GrowingLog, delays
from .sound import World
from .tampered import HARMLESS, TAMPERED, Tampering


def judged(tampering: Tampering) -> list[str]:
    world = World()
    tampering(world)
    return [str(violation) for violation in violations(world.evidence())]


@pytest.mark.parametrize("tampering", HARMLESS.values(), ids=HARMLESS)
def test_sound_evidence_has_no_violations(tampering: Tampering) -> None:
    assert judged(tampering) == []


def test_sound_evidence_has_something_for_every_invariant() -> None:
    evidence = World().evidence()
    assert {answer.run.status for answer in evidence.answers.values()} == {
        *(Status.FINISHED, Status.STOPPED, Status.FAILED)
    }
    assert any(reading.after for reading in evidence.readings)
    assert any(reading.left for reading in evidence.readings)
    assert evidence.claims
    assert len(evidence.claims) > len(evidence.answers)


def cases() -> list[Any]:
    marks = {"tool-once": [pytest.mark.promise("tool-once")]}
    return [
        pytest.param(promise, tampering, id=f"{promise}: {name}", marks=marks.get(promise, ()))
        for promise, tamperings in TAMPERED.items()
        for name, tampering in tamperings.items()
    ]


@pytest.mark.parametrize(("promise", "tampering"), cases())
def test_tampered_evidence_breaks_the_promise_and_no_other(
    promise: str, tampering: Tampering
) -> None:
    found = judged(tampering)
    assert {each.partition(":")[0] for each in found} == {promise}, found


def test_every_invariant_finds_something() -> None:
    silent = {invariant.__name__ for invariant in INVARIANTS}
    for case in cases():
        world = World()
        case.values[1](world)
        found = {each.__name__ for each in INVARIANTS if any(each(world.evidence()))}
        silent -= found
    assert not silent, f"no tampering is found by {silent}"


# --- looking again and again ---------------------------------------------------------------------


def test_a_growing_log_is_compared_with_what_readers_have_by_now() -> None:
    run, growing = World().finished, GrowingLog()
    whole = run.reading("somebody")
    frames, log = whole.frames[:], run.log
    for count in (0, 3, 8, len(frames)):
        whole.frames[:] = frames[:count]
        log.records = run.records[: count + 1]
        assert growing.look(whole, log) == [], count


def test_a_log_that_changes_between_two_looks_is_a_violation() -> None:
    run, growing = World().finished, GrowingLog()
    assert growing.grown(run.log) == []
    changed = run.log
    changed.records = [*run.records[:4], b"{}", *run.records[5:]]
    assert [each.promise for each in growing.grown(changed)] == ["prefix"]
    changed.records = changed.records[:4]
    assert [each.promise for each in growing.grown(changed)] == ["seen-is-durable"]


def test_an_event_that_is_not_committed_yet_is_a_violation() -> None:
    run, growing = World().finished, GrowingLog()
    log = run.log
    log.records = run.records[:5]
    found = growing.look(run.reading("somebody", to=6), log)
    assert [each.promise for each in found] == ["seen-is-durable"]


def test_a_delay_counts_from_another_readers_receipt_or_from_the_connection() -> None:
    run = World().finished
    quick, late, slow = (run.reading(who, to=3) for who in ("quick", "late", "slow"))
    quick.came, quick.since = [1.0, 2.0, 3.0], [0.0] * 3
    late.came, late.since = [1.5, 9.0, 9.5], [0.0, 8.0, 8.0]
    slow.came, slow.since, slow.slow = [50.0] * 3, [0.0] * 3, True
    assert delays([quick, late, slow]) == {"quick": 0.0, "late": 1.5}


def test_pauses_do_not_count_as_waiting_and_are_subtracted_once() -> None:
    evidence = Evidence(pauses=[(4.0, 7.0), (1.0, 3.0), (2.0, 5.0), (9.0, 20.0)])
    assert [evidence.waited(0, 1), evidence.waited(0, 8), evidence.waited(6, 12)] == [1.0, 2.0, 2.0]
