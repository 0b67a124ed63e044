"""The fault injector: faults are drawn from the seed and a name, or exactly those named happen."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

import pytest

from .faults import KINDS, Faults
from .workload import BAD_DAY, LATER

RATES = {"slow": 0.3, "fail": 0.2, "twice": 0.5}
PLACES = [f"append of {process}" for process in ("A1", "A2", "B1")]


def drawn(
    faults: Faults, kinds: Collection[str] = ("slow", "fail", "twice"), places: object = None
) -> list[str]:
    """The names of what strikes in thirty rounds through all places."""
    for _ in range(30):
        for place in PLACES if places is None else [str(places)]:
            for kind in kinds:
                faults.strikes(kind, place)
    return list(faults.happened)


def schedule(faults: Faults, process: str = "A1") -> list[tuple[int, str, str]]:
    return [
        (scheduled.turn, scheduled.kind, scheduled.name) for scheduled in faults.schedule(process)
    ]


# --- drawn ---------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_and_another_one_something_else() -> None:
    once, again, other = (drawn(Faults(seed, RATES)) for seed in (7, 7, 8))
    assert once == again
    assert once != other


def test_a_fault_is_named_by_its_kind_its_place_and_how_often_that_place_was_reached() -> None:
    faults = Faults(0, {"slow": 1.0, "fail": 1.0})
    for kind, place in (("slow", "x"), ("fail", "x"), ("slow", "x"), ("slow", "y")):
        assert faults.strikes(kind, place)
    assert faults.happened == ["slow x 1", "fail x 1", "slow x 2", "slow y 1"]


def test_what_happens_at_a_place_depends_on_no_other_place() -> None:
    everywhere = drawn(Faults(7, RATES))
    here = drawn(Faults(7, RATES), places=PLACES[1])
    assert here == [name for name in everywhere if f" {PLACES[1]} " in name]
    assert here


def test_what_happens_at_a_place_depends_on_no_other_kind() -> None:
    everything = drawn(Faults(7, RATES))
    slow = drawn(Faults(7, RATES), kinds=["slow"])
    assert slow == [name for name in everything if name.startswith("slow ")]
    assert slow


def test_the_details_of_a_fault_depend_on_its_name_alone() -> None:
    many, one = Faults(7, {"slow": 1.0, "fail": 1.0}), Faults(7, {"slow": 1.0})
    details = []
    for _ in range(5):
        many.strikes("fail", "x")
        rng = many.strikes("slow", "x")
        assert rng
        details.append(rng.random())
    for detail in details:
        rng = one.strikes("slow", "x")
        assert rng
        assert rng.random() == detail
    assert len(set(details)) == 5


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (1.0, 30)])
def test_a_rate_of_0_never_strikes_and_one_of_1_always(rate: float, expected: int) -> None:
    assert len(drawn(Faults(7, {"slow": rate}), ["slow"], "x")) == expected


def test_a_kind_without_a_rate_never_strikes() -> None:
    assert drawn(Faults(7, {})) == []


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_a_rate_is_how_often_it_strikes(rate: float) -> None:
    faults = Faults(7, {"slow": rate})
    struck = sum(faults.strikes("slow", f"x{place}") is not None for place in range(20_000))
    assert struck / 20_000 == pytest.approx(rate, abs=0.02)


# --- named ---------------------------------------------------------------------------------------


def test_exactly_what_is_named_happens() -> None:
    names = drawn(Faults(7, RATES))
    assert drawn(Faults(7, RATES, names)) == names
    kept = random.Random(1).sample(names, 5)
    assert set(drawn(Faults(7, RATES, kept))) == set(kept)
    assert drawn(Faults(7, RATES, [])) == []


def test_what_is_named_happens_whatever_the_rates() -> None:
    assert drawn(Faults(7, {}, ["slow append of A2 3"])) == ["slow append of A2 3"]


def test_the_details_are_the_same_when_all_others_are_left_out() -> None:
    def details(faults: Faults) -> Mapping[str, float]:
        found = {}
        for _ in range(30):
            if rng := faults.strikes("slow", "x"):
                found[faults.happened[-1]] = rng.random()
        return found

    whole = details(Faults(7, {"slow": 0.4}))
    name = list(whole)[3]
    assert details(Faults(7, {"slow": 0.4}, [name])) == {name: whole[name]}


# --- counts and the end --------------------------------------------------------------------------


def test_everything_that_happens_is_counted_by_its_kind() -> None:
    faults = Faults(7, {**RATES, "freeze": 0.5})
    drawn(faults)
    faults.keeps("stop", "c0m0-stops-1")
    faults.happens(faults.schedule("A1")[-1])
    assert faults.counts.total() == len(faults.happened)
    for kind, count in faults.counts.items():
        assert count == sum(name.startswith(f"{kind} ") for name in faults.happened)
    assert faults.counts["stop"] == faults.counts["freeze"] == 1


def test_nothing_happens_any_more_when_it_is_over() -> None:
    faults = Faults(7, {"slow": 1.0})
    assert faults.strikes("slow", "x")
    faults.over = True
    assert faults.strikes("slow", "x") is None
    assert faults.keeps("stop", "someone") is None
    assert faults.happened == ["slow x 1"]


# --- what clients do ------------------------------------------------------------------------------


def test_what_clients_do_happens_unless_it_is_left_out() -> None:
    assert Faults(7, {}).keeps("stop", "c0m0-stops-1")
    assert Faults(7, {}, ["stop c0m0-stops-1"]).keeps("stop", "c0m0-stops-1")
    assert Faults(7, {}, ["stop c0m0-stops-2"]).keeps("stop", "c0m0-stops-1") is None


# --- schedules -----------------------------------------------------------------------------------

STORM = {"kill": 0.01, "freeze": 0.02, "clock": 0.005}


def test_a_schedule_is_drawn_from_the_seed_and_the_next_one_is_last() -> None:
    found = schedule(Faults(7, STORM))
    assert found == schedule(Faults(7, STORM))
    assert found != schedule(Faults(8, STORM))
    assert found != schedule(Faults(7, STORM), "A2")
    assert [turn for turn, _, _ in found] == sorted((turn for turn, _, _ in found), reverse=True)
    assert {kind for _, kind, _ in found} == set(STORM)


def test_what_is_scheduled_depends_on_no_other_kind() -> None:
    whole = schedule(Faults(7, STORM))
    alone = schedule(Faults(7, {"freeze": STORM["freeze"]}))
    assert alone == [scheduled for scheduled in whole if scheduled[1] == "freeze"]


def test_the_turns_before_a_scheduled_fault_are_as_its_rate_says() -> None:
    firsts = [schedule(Faults(seed, {"kill": 0.01}))[-1][0] for seed in range(2000)]
    assert min(firsts) >= 1
    assert sum(firsts) / len(firsts) == pytest.approx(100, rel=0.1)


def test_a_process_without_a_rate_has_an_empty_schedule() -> None:
    assert schedule(Faults(7, {"kill": 0.0})) == []


def test_a_scheduled_fault_that_is_named_strikes_at_its_turn() -> None:
    whole = schedule(Faults(7, STORM))
    second = next(scheduled for scheduled in whole if scheduled[2] == "freeze A1 2")
    faults = Faults(7, STORM, ["freeze A1 2"])
    assert schedule(faults) == [second]
    faults.happens(faults.schedule("A1")[0])
    assert faults.happened == ["freeze A1 2"]


# --- words ---------------------------------------------------------------------------------------


def test_every_kind_of_fault_has_a_meaning_that_the_campaign_prints() -> None:
    assert {*BAD_DAY, *LATER} <= set(KINDS)
