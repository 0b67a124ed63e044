"""The fault injector: faults are drawn from the seed and a name, or exactly those named happen.

That a seed draws the same again is proved by `test_hunt`; here, that a history can be shrunk.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from .faults import KINDS, Faults
from .workload import BAD_DAY, LATER

RATES = {"slow": 0.3, "fail": 0.2, "twice": 0.5}
STORM = {"kill": 0.01, "freeze": 0.02, "clock": 0.005}
PLACES = ("x", "y", "z")


def drawn(
    faults: Faults, kinds: Collection[str] = tuple(RATES), places: Collection[str] = PLACES
) -> dict[str, float]:
    """What strikes in thirty rounds through places, by name, and a detail of it."""
    found = {}
    for _ in range(30):
        for place in places:
            for kind in kinds:
                if rng := faults.strikes(kind, place):
                    found[faults.happened[-1]] = rng.random()
    return found


def schedule(faults: Faults) -> list[tuple[int, str]]:
    return [(scheduled.turn, scheduled.name) for scheduled in faults.schedule("A1")]


@pytest.mark.parametrize(("kinds", "places"), [(RATES, ["y"]), (["slow"], PLACES)])
def test_a_fault_depends_on_no_other_place_and_no_other_kind(
    kinds: Collection[str], places: Collection[str]
) -> None:
    everything = drawn(Faults(7, RATES))
    expected = {
        name: detail
        for name, detail in everything.items()
        if name.split()[0] in kinds and name.split()[1] in places
    }
    assert drawn(Faults(7, RATES), kinds, places) == expected != everything


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.9, 1.0])
def test_a_rate_is_how_often_a_fault_strikes(rate: float) -> None:
    faults = Faults(7, {"slow": rate})
    struck = sum(faults.strikes("slow", f"x{place}") is not None for place in range(20_000))
    assert struck / 20_000 == pytest.approx(rate, abs=0.02 if 0 < rate < 1 else 0)


def test_the_turns_before_a_scheduled_fault_are_as_its_rate_says() -> None:
    firsts = [schedule(Faults(seed, {"kill": 0.01}))[-1][0] for seed in range(2000)]
    assert sum(firsts) / len(firsts) == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("rates", [RATES, {}])
def test_exactly_what_is_named_happens_with_the_same_details(rates: dict[str, float]) -> None:
    whole = drawn(Faults(7, RATES))
    for names in ([], list(whole), list(whole)[3:20:4]):
        assert drawn(Faults(7, rates, names)) == {name: whole[name] for name in names}


def test_an_action_happens_unless_it_was_left_out_or_the_faults_are_over() -> None:
    for only, happens in ((None, True), (["stop a"], True), (["stop b"], False)):
        assert (Faults(7, {}, only).keeps("stop", "a") is not None) is happens
    faults = Faults(7, {"slow": 1.0})
    faults.over = True
    assert faults.strikes("slow", "x") is None
    assert faults.keeps("stop", "a") is None
    assert faults.keeps("age", "all", late=True)


def test_what_is_scheduled_depends_on_no_other_kind_and_comes_last_first() -> None:
    whole = schedule(Faults(7, STORM))
    assert whole == sorted(whole, key=lambda each: -each[0])
    freezes = [each for each in whole if each[1].startswith("freeze")]
    assert schedule(Faults(7, {"freeze": STORM["freeze"]})) == freezes != []
    assert schedule(Faults(7, STORM, [freezes[0][1]])) == freezes[:1]


def test_every_kind_of_fault_has_a_meaning_that_the_campaign_prints() -> None:
    assert {*BAD_DAY, *LATER} <= set(KINDS)
