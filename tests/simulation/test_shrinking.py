"""Shrinking: what is left of a failing history is what it needs to fail in the same way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .history import Outcome
from .report import described
from .shrinking import Bounds, promise, shrink

NAMES = [f"slow append of A1 {number}" for number in range(40)]

#: Says what breaks when only these names happen.
Law = Callable[[Collection[str]], str | None]


def outcome(happened: Sequence[str], breach: str | None) -> Outcome:
    return Outcome(
        seed=7,
        store="sqlite",
        breach=breach,
        trace="  nothing",
        happened=list(happened),
        counts={},
        digest="",
        figures={},
    )


class World:
    """A history that obeys a law, and counts how often it is run.

    Attributes:
        first: as it was found.
        tried: what was asked to happen, each time.
    """

    def __init__(self, law: Law, names: Sequence[str] = NAMES) -> None:
        self._law = law
        self.first = outcome(names, law(names))
        self.tried: list[Sequence[str]] = []

    def replay(self, kept: Sequence[str]) -> Outcome:
        self.tried.append(kept)
        return outcome(kept, self._law(kept))


def needs(*wanted: str, breach: str = "prefix: a gap") -> Law:
    return lambda names: breach if set(wanted) <= set(names) else None


# --- what is left --------------------------------------------------------------------------------


@given(wanted=st.sets(st.sampled_from(NAMES), max_size=8))
def test_exactly_what_is_needed_is_left_in_its_order(wanted: set[str]) -> None:
    world = World(needs(*wanted))
    shrunk = shrink(world.first, world.replay)
    assert shrunk.outcome.happened == [name for name in NAMES if name in wanted]
    assert shrunk.stopped == ""
    assert shrunk.tries == len(world.tried)


def test_where_everything_is_needed_everything_stays() -> None:
    world = World(needs(*NAMES))
    shrunk = shrink(world.first, world.replay)
    assert shrunk.outcome == world.first
    assert shrunk.stopped == ""


def test_of_two_ways_to_fail_one_is_left() -> None:
    one, other = needs(NAMES[3], NAMES[30]), needs(NAMES[8])
    world = World(lambda names: one(names) or other(names))
    left = shrink(world.first, world.replay).outcome.happened
    assert left in ([NAMES[8]], [NAMES[3], NAMES[30]])


def test_what_prevents_the_failure_when_it_is_alone_stays_with_what_lifts_that() -> None:
    """The third one spoils it, unless the twentieth happens, too."""

    def law(names: Collection[str]) -> str | None:
        if NAMES[3] in names and NAMES[20] not in names:
            return None
        return needs(NAMES[10])(names)

    world = World(law)
    assert shrink(world.first, world.replay).outcome.happened == [NAMES[10]]


@given(numbers=st.sets(st.integers(0, 2**10 - 1)), size=st.integers(0, 10))
def test_under_any_law_no_single_thing_more_can_be_left_out(numbers: set[int], size: int) -> None:
    """A law drawn at random: for some parts of the names it fails, for others it does not."""
    names = NAMES[:size]

    def law(kept: Collection[str]) -> str | None:
        number = sum(1 << index for index, name in enumerate(names) if name in kept)
        return "stop: it goes on" if len(kept) == size or number in numbers else None

    world = World(law, names)
    shrunk = shrink(world.first, world.replay)
    left = shrunk.outcome.happened
    assert law(left)
    assert shrunk.stopped == ""
    assert not any(law([name for name in left if name != one]) for one in left)


def test_names_that_do_not_come_up_any_more_are_left_out_with_the_others() -> None:
    """Without the first one the second half is never reached."""

    class Shortened(World):
        def replay(self, kept: Sequence[str]) -> Outcome:
            reached = kept if NAMES[0] in kept else [name for name in kept if name < "slow b"][:3]
            found = super().replay(reached)
            self.tried[-1] = kept
            return found

    world = Shortened(needs(NAMES[2]))
    shrunk = shrink(world.first, world.replay)
    assert shrunk.outcome.happened == [NAMES[2]]
    assert shrunk.stopped == ""


def test_a_history_in_which_nothing_happened_is_as_small_as_it_gets() -> None:
    world = World(needs(), names=[])
    shrunk = shrink(world.first, world.replay)
    assert shrunk.outcome is world.first
    assert (shrunk.tries, shrunk.stopped) == (0, "")


def test_much_less_is_tried_than_there_is() -> None:
    names = [f"slow append of A1 {number}" for number in range(1000)]
    world = World(needs(names[500], names[77]), names)
    assert shrink(world.first, world.replay).outcome.happened == [names[77], names[500]]
    assert len(world.tried) < 100


# --- the same failure ----------------------------------------------------------------------------


def test_another_promise_that_breaks_meanwhile_is_not_taken_for_this_one() -> None:
    both = needs(NAMES[5], NAMES[6], breach="prefix: a gap")
    other = needs(NAMES[5], breach="no-leak: a task")
    world = World(lambda names: both(names) or other(names))
    shrunk = shrink(world.first, world.replay)
    assert promise(shrunk.outcome) == "prefix"
    assert shrunk.outcome.happened == [NAMES[5], NAMES[6]]


def test_the_same_promise_may_break_with_another_text() -> None:
    world = World(lambda names: f"prefix: {len(names)} too many" if NAMES[5] in names else None)
    shrunk = shrink(world.first, world.replay)
    assert shrunk.outcome.breach == "prefix: 1 too many"


@pytest.mark.parametrize(
    ("breach", "expected"),
    [
        (None, None),
        ("stop: it goes on: see there", "stop"),
        ("fencing: one\nno-leak: two", "fencing"),
    ],
)
def test_a_history_is_known_by_the_first_promise_that_it_breaks(
    breach: str | None, expected: str | None
) -> None:
    assert promise(outcome([], breach)) == expected


# --- stopped early -------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 7])
def test_it_stops_after_so_many_tries_with_the_smallest_that_it_has(most: int) -> None:
    world = World(needs(*NAMES[::3]))
    shrunk = shrink(world.first, world.replay, Bounds(tries=most))
    assert len(world.tried) == shrunk.tries == most
    assert shrunk.stopped == f"{most} tries"
    assert shrunk.outcome.breach == world.first.breach
    assert set(NAMES[::3]) <= set(shrunk.outcome.happened)


def test_it_stops_when_its_time_is_over_or_a_history_takes_too_long() -> None:
    world = World(needs(*NAMES[::3]))
    assert shrink(world.first, world.replay, Bounds(seconds=0)).stopped == "0 s"
    assert world.tried == []

    def endless(kept: Sequence[str]) -> Outcome:
        if len(world.tried) == 2:
            raise TimeoutError
        return world.replay(kept)

    shrunk = shrink(world.first, endless, Bounds(seconds=60))
    assert (shrunk.stopped, shrunk.tries) == ("60 s", 2)
    assert shrunk.outcome.breach == world.first.breach


# --- what is printed -----------------------------------------------------------------------------


def printed(law: Law, path: Path | None, tries: int = 400, count: int = 200) -> str:
    """What is printed of a history that obeys a law."""
    names = [f"slow append of A1 {number}" for number in range(count)]
    world = World(law, names)
    return described(shrink(world.first, world.replay, Bounds(tries)), count, path)


def test_a_report_has_the_promise_the_faults_the_trace_and_the_command() -> None:
    law = needs("slow append of A1 5", breach="stop: it goes on\nno-leak: a task")
    text = printed(law, Path("sqlite-7.json"))
    assert text.splitlines()[:6] == [
        "Seed 7 on sqlite breaks a promise.",
        "",
        "  stop: it goes on",
        "  no-leak: a task",
        "",
        "It needs 1 of the 200 things that happened (23 tries):",
    ]
    small = "make hunt ARGS='--file sqlite-7.json'"
    assert text.splitlines()[6:] == [
        *("  - slow append of A1 5", "", "What happened:", "", "  nothing", ""),
        f"Again: make hunt ARGS='--seed 7 --store sqlite', or the small one: {small}",
    ]


def test_a_report_of_what_was_not_shrunk_to_its_end_says_so() -> None:
    names = [f"slow append of A1 {number}" for number in range(0, 200, 2)]
    text = printed(needs(*names), None, tries=9)
    assert "Shrinking stopped early, after 9 tries: left are " in text
    assert "not all of them needed. --tries and --seconds allow more:" in text
    assert text.count("\n  - ") == 41
    assert " more, in the seed file" in text
    assert text.endswith("Again: make hunt ARGS='--seed 7 --store sqlite'")
