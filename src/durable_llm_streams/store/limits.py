"""Limits: what is taken out of buckets that fill again as time passes. No I/O.

Theory of operation
===================
1. The generic cell rate algorithm (ITU-T I.371, annex A). A bucket is one number, `tat`: the moment
   at which it will be full again. A charge moves that moment by `cost * period / limit`. It is
   refused if the bucket would then take longer than a whole period to be full.
2. What is taken beyond an empty bucket, by a charge that is never refused, is forgotten: no moment
   is stored that is further away than a period. One that is comes from a clock that was ahead.
   It counts as an empty bucket. Stores bring such moments back when they find them, so a clock that
   is set back closes no bucket for longer than a period.
3. A bucket is never more than full: giving back to a full bucket changes nothing.
4. Moments are whole microseconds since 1970 UTC, and shares of a period are rounded towards zero.
   So exactly `limit` charges of 1 fit into a full bucket. The arithmetic is that of IEEE 754
   doubles, so `limits.lua` comes to the same moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from durable_llm_streams.errors import BudgetSpent, LimitReached
from durable_llm_streams.model import Charge, Level

MICROSECONDS = 1_000_000

#: Kinds of charges that are tokens or money.
_BUDGETS = frozenset({"tokens", "cost", "budget"})


def take(
    charges: Iterable[Charge], tats: Mapping[str, int], now: int, *, refuse: bool = True
) -> dict[str, int]:
    """Take all charges, or none of them.

    Args:
        charges: in their order; some may be of the same bucket.
        tats: the moments of the buckets by name; a bucket that is missing is full.
        now: the wall clock, in microseconds.
        refuse: whether a charge can be refused.

    Returns:
        The new moments of the buckets that were charged.

    Raises:
        LimitReached: of the first charge that does not fit.
    """
    moved: dict[str, int] = {}
    for charge in charges:
        name, length = charge.bucket, period(charge)
        tat = moved.get(name, tats.get(name, now))
        emptied = now + length
        moment = max(min(tat, emptied), now) + _share(charge, length)
        if moment > emptied and refuse and charge.cost >= 0:
            raise refusal(charge, tat, now)
        moved[name] = max(now, min(moment, emptied))
    return moved


def refusal(charge: Charge, tat: int, now: int) -> LimitReached:
    """The error for a charge that does not fit.

    Args:
        charge: it.
        tat: the moment of its bucket.
        now: the wall clock, in microseconds.
    """
    length = period(charge)
    over = max(min(tat, now + length), now) + _share(charge, length) - now - length
    wait: float | None = over / MICROSECONDS
    if charge.cost > charge.limit:
        wait = None
    kind = BudgetSpent if charge.kind in _BUDGETS else LimitReached
    return kind(charge.kind, charge.limit, wait)


def level(charge: Charge, tat: int, now: int) -> Level:
    """What is left in the bucket of a charge, as `refusal`."""
    length = period(charge)
    used = max(min(tat, now + length), now) - now
    remaining = (length - used) * charge.limit / length
    return Level(
        charge.kind, charge.of, charge.limit, charge.period, remaining, used / MICROSECONDS
    )


def period(charge: Charge) -> int:
    """The period of a charge, in whole microseconds."""
    return round(charge.period * MICROSECONDS)


def _share(charge: Charge, length: int) -> int:
    return int(float(charge.cost) * float(length) / float(charge.limit))
