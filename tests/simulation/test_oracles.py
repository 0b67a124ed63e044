"""The oracles name every way in which a promise can be broken, and nothing where all is well."""

from __future__ import annotations

import pytest

from durable_llm_streams.model import Status

from .doctors import DOCTORED, HARMLESS, Doctor
from .evidence import World
from .oracles import RULES, Evidence, breaches


def broken(evidence: Evidence) -> set[str]:
    """The promises that the oracles name."""
    return {breach.partition(":")[0] for breach in breaches(evidence)}


def doctored(doctor: Doctor) -> Evidence:
    world = World()
    doctor(world)
    return world.evidence()


@pytest.mark.parametrize(
    "doctor",
    HARMLESS,
)
def test_where_all_is_well_no_oracle_says_a_word(doctor: Doctor) -> None:
    assert breaches(doctored(doctor)) == []


def test_the_honest_evidence_has_something_for_every_rule_to_look_at() -> None:
    evidence = World().evidence()
    assert {truth.run.status for truth in evidence.truths.values()} == {
        *(Status.FINISHED, Status.STOPPED, Status.FAILED)
    }
    assert any(reading.after for reading in evidence.readings)
    assert any(len(reading.frames) < 10 and reading.ended for reading in evidence.readings)
    assert len(evidence.claims) > len(evidence.truths)


@pytest.mark.parametrize(
    ("promise", "doctor"),
    [
        pytest.param(promise, doctor, id=f"{promise}-{number}")
        for promise, doctors in DOCTORED.items()
        for number, doctor in enumerate(doctors)
    ],
)
def test_a_broken_promise_is_named_and_no_other_one(promise: str, doctor: Doctor) -> None:
    assert broken(doctored(doctor)) == {promise}


@pytest.mark.promise("tool-once")
def test_the_oracle_watches_over_results_of_tools() -> None:
    """Nothing produces any yet: the oracle is all that there is."""
    for doctor in DOCTORED["tool-once"]:
        assert broken(doctored(doctor)) == {"tool-once"}


def test_every_rule_is_tried() -> None:
    assert set(RULES) == set(DOCTORED)
