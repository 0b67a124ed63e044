"""The arithmetic of the limits: what passes, what is left, and when to ask again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from durable_llm_streams.errors import BudgetSpent, LimitReached
from durable_llm_streams.model import EVERYBODY, Charge
from durable_llm_streams.store import take
from durable_llm_streams.store.limits import MICROSECONDS, level, refusal

HOUR, DAY = 3600.0, 24 * 3600.0
NOW = 1_700_000_000 * MICROSECONDS
ONE = Charge("messages", "ann", 1, 30, HOUR)


def after(seconds: float) -> int:
    return NOW + round(seconds * MICROSECONDS)


@pytest.mark.parametrize(
    ("tat", "cost", "remaining"),
    [
        (0, 1, 29),  # a full bucket
        (120, 1, 28),  # one unit is two minutes
        (HOUR - 120, 1, 0),  # the last one
        (-DAY, 1, 29),  # it was full long ago
        (120, -1, 30),  # given back
        (0, -5, 30),  # to a full one
        (HOUR, 0, 0),  # nothing costs nothing, of an empty one
        (9 * DAY, 0, 0),  # a clock was ahead
        (9 * DAY, -3, 3),
    ],
)
def test_a_charge_leaves_so_much(tat: float, cost: float, remaining: float) -> None:
    charge = structs.replace(ONE, cost=cost)
    moved = take([charge], {charge.bucket: after(tat)}, NOW)
    assert level(charge, moved[charge.bucket], NOW).remaining == remaining


@pytest.mark.parametrize(
    ("tat", "cost", "retry_after"),
    [
        (HOUR - 119, 1, 1),
        (HOUR, 1, 120),
        (HOUR, 30, HOUR),
        (0, 31, None),  # never
        (9 * DAY, 2, 240),  # a clock was ahead
    ],
)
def test_a_refusal_says_when_it_is_allowed(
    tat: float, cost: float, retry_after: float | None
) -> None:
    charge, moment = structs.replace(ONE, cost=cost), after(tat)
    with pytest.raises(LimitReached) as caught:
        take([charge], {charge.bucket: moment}, NOW)
    assert caught.value.retry_after == retry_after
    if retry_after is not None:
        then = NOW + round(retry_after * MICROSECONDS)
        take([charge], {charge.bucket: min(moment, after(HOUR))}, then)
        with pytest.raises(LimitReached):
            take([charge], {charge.bucket: min(moment, after(HOUR))}, then - 1)


@pytest.mark.parametrize("limit", [1, 3, 7, 30, 999, 40_000])
def test_exactly_the_limit_fits_into_a_full_bucket(limit: int) -> None:
    charge = Charge("messages", "ann", 1, limit, HOUR)
    moved = take([charge] * limit, {}, NOW)
    with pytest.raises(LimitReached):
        take([charge], moved, NOW)


def test_all_charges_are_taken_or_none_is() -> None:
    tokens = Charge("tokens", "ann", 70, 100, DAY)
    tats = {ONE.bucket: NOW}
    with pytest.raises(BudgetSpent):
        take([ONE, tokens, tokens], tats, NOW)
    assert tats == {ONE.bucket: NOW}
    assert take([ONE, tokens], tats, NOW).keys() == {"messages:ann", "tokens:ann"}


def test_what_is_never_refused_empties_the_bucket_and_owes_nothing() -> None:
    charge = Charge("cost", "ann", 5.0, 1.0, DAY)
    moved = take([charge], {}, NOW, refuse=False)
    assert moved == {charge.bucket: after(DAY)}


def test_the_bucket_of_all_is_no_owners() -> None:
    assert Charge("budget", EVERYBODY, 1, 1, 1).bucket != Charge("budget", "*", 1, 1, 1).bucket


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 second."), (59, "59 seconds."), (121, "3 minutes."), (7201, "3 hours.")],
)
def test_the_sentence_says_when_in_words(seconds: float, words: str) -> None:
    assert str(LimitReached("messages", 30, seconds)).endswith(f"Ask again in {words}")
    assert str(LimitReached("messages", 30, seconds)).startswith("The limit is 30 messages an hour")


def test_the_errors_of_budgets_are_a_kind_of_their_own() -> None:
    for kind in ("tokens", "cost", "budget"):
        charge = Charge(kind, "ann", 2, 1, DAY)
        assert isinstance(refusal(charge, NOW, NOW), BudgetSpent), kind
    assert not isinstance(refusal(ONE, NOW, NOW), BudgetSpent)


moves = st.lists(
    st.tuples(st.floats(0, 5000), st.floats(0.01, 12), st.booleans()), min_size=1, max_size=60
)


@pytest.mark.promise("bounded-cost")
@settings(max_examples=300, deadline=None)
@given(moves, st.sampled_from([1, 7, 10.5]), st.sampled_from([10.0, HOUR]))
def test_no_more_than_a_full_bucket_and_its_refill_passes_in_any_window(
    moves: list[tuple[float, float, bool]], limit: float, period: float
) -> None:
    """In every window what is taken, less what is given back, is within the limit."""
    now, tats = NOW, dict[str, int]()
    passed: list[tuple[int, float]] = []
    taken: list[float] = []
    for wait, cost, gives_back in moves:
        now += round(wait * MICROSECONDS)
        cost = -taken.pop() if gives_back and taken else cost
        charge = Charge("tokens", "ann", cost, limit, period)
        try:
            tats |= take([charge], tats, now)
        except LimitReached:
            continue
        passed.append((now, cost))
        if cost > 0:
            taken.append(cost)
    slack = len(moves) * limit / (period * MICROSECONDS)  # a microsecond of refill for each
    for first, (begin, _) in enumerate(passed):
        total = 0.0
        for end, cost in passed[first:]:
            total += cost
            refill = (end - begin) / MICROSECONDS / period * limit
            assert total <= limit + refill + slack + 1e-6
