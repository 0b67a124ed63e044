"""Shrinking: what is left of a failing history is what it needs to fail in the same way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .history import Outcome
from .report import described
from .shrinking import Bounds, shrink

NAMES = [f"slow append of A1 {number}" for number in range(40)]

#: Says what breaks when only these names happen.
Law = Callable[[Collection[str]], str | None]


def outcome(happened: Sequence[str], breach: str | None) -> Outcome:
    return Outcome(7, "sqlite", breach, "  nothing", list(happened), {}, "", {})


class World:
    """A history that obeys a law, and counts how often it is run."""

    def __init__(self, law: Law, names: Sequence[str] = NAMES) -> None:
        self._law = law
        self.first = outcome(names, law(names))
        self.tried: list[Sequence[str]] = []

    def replay(self, kept: Sequence[str]) -> Outcome:
        self.tried.append(kept)
        return outcome(kept, self._law(kept))


def needs(*wanted: str, breach: str = "prefix: a gap") -> Law:
    return lambda names: breach if set(wanted) <= set(names) else None


@given(wanted=st.sets(st.sampled_from(NAMES)))
def test_exactly_what_is_needed_is_left_in_its_order(wanted: set[str]) -> None:
    world = World(needs(*wanted))
    shrunk = shrink(world.first, world.replay)
    assert shrunk.outcome.happened == [name for name in NAMES if name in wanted]
    assert (shrunk.tries, shrunk.stopped) == (len(world.tried), "")


@given(numbers=st.sets(st.integers(0, 2**10 - 1)), size=st.integers(0, 10))
def test_under_any_law_no_single_thing_more_can_be_left_out(numbers: set[int], size: int) -> None:
    """A law drawn at random: for some parts of the names it fails, for others it does not."""
    names = NAMES[:size]

    def law(kept: Collection[str]) -> str | None:
        number = sum(1 << index for index, name in enumerate(names) if name in kept)
        return "stop: it goes on" if len(kept) == size or number in numbers else None

    world = World(law, names)
    left = shrink(world.first, world.replay).outcome.happened
    assert law(left)
    assert not any(law([name for name in left if name != one]) for one in left)


def test_names_that_do_not_come_up_any_more_are_left_out_with_the_others() -> None:
    """Without the first one the others behind the third are never reached."""
    world = World(needs(NAMES[2]))

    def replay(kept: Sequence[str]) -> Outcome:
        return world.replay(kept if NAMES[0] in kept else [n for n in kept if n in NAMES[:3]])

    assert shrink(world.first, replay).outcome.happened == [NAMES[2]]


def test_another_promise_that_breaks_meanwhile_is_not_taken_for_this_one() -> None:
    """The same one may break with another text."""
    other = needs(NAMES[5], breach="no-leak: a task")
    both = needs(NAMES[5], NAMES[6])
    world = World(lambda kept: f"prefix: {len(kept)} too many" if both(kept) else other(kept))
    assert shrink(world.first, world.replay).outcome.breach == "prefix: 2 too many"


@pytest.mark.parametrize(
    ("bounds", "tries", "stopped"),
    [
        (Bounds(tries=7), 7, "7 tries"),
        (Bounds(seconds=0), 0, "0 s"),
        (Bounds(seconds=60), 9, "60 s"),  # the tenth takes too long
    ],
)
def test_it_stops_at_its_bounds_with_the_smallest_that_it_has(
    bounds: Bounds, tries: int, stopped: str
) -> None:
    world = World(needs(*NAMES[::3]))

    def replay(kept: Sequence[str]) -> Outcome:
        if len(world.tried) == 9:
            raise TimeoutError
        return world.replay(kept)

    shrunk = shrink(world.first, replay, bounds)
    assert (shrunk.tries, shrunk.stopped) == (tries, stopped)
    assert shrunk.outcome.breach == world.first.breach
    assert set(NAMES[::3]) <= set(shrunk.outcome.happened)


def test_a_report_has_the_promise_the_faults_the_trace_and_the_command() -> None:
    names = [f"slow append of A1 {number}" for number in range(200)]
    world = World(needs(names[5], breach="stop: it goes on\nno-leak: a task"), names)
    shrunk = shrink(world.first, world.replay)
    again = "Again: make hunt ARGS='--seed 7 --store sqlite'"
    assert shrunk.tries < 40, "more tries than halving needs"
    assert described(shrunk, 200, Path("sqlite-7.json")).splitlines() == [
        *("Seed 7 on sqlite breaks a promise.", "", "  stop: it goes on", "  no-leak: a task", ""),
        f"It needs 1 of the 200 things that happened ({shrunk.tries} tries):",
        *("  - slow append of A1 5", "", "What happened:", "", "  nothing", ""),
        f"{again}, or the small one: make hunt ARGS='--file sqlite-7.json'",
    ]
    early = described(shrink(world.first, world.replay, Bounds(tries=2)), 200)
    assert "Shrinking stopped early, after 2 tries: left are 100 of 200 things" in early
    assert early.count("\n  - ") == 41
    assert "  - … and 60 more, in the seed file" in early
    assert early.endswith(again)
