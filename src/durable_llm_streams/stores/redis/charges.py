"""Charges as arguments of the scripts, and what the scripts reply to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from durable_llm_streams.chunks import encode
from durable_llm_streams.errors import LimitReached
from durable_llm_streams.model import Charge, Level
from durable_llm_streams.store.limits import level, period, refusal

_CHARGES = msgspec.json.Decoder(tuple[Charge, ...])
_LIMITED = b"limited"


def words(charges: Iterable[Charge]) -> list[str | int]:
    """The charges as `limits.lua` takes them."""
    return [
        word
        for charge in charges
        for word in (charge.bucket, repr(charge.cost), repr(charge.limit), period(charge))
    ]


def refused(charges: Sequence[Charge], reply: Sequence[bytes | int]) -> LimitReached | None:
    """The refusal that a reply is, of one of these charges; None if it is no refusal."""
    if reply[0] != _LIMITED:
        return None
    _, index, tat, now = reply
    return refusal(charges[int(index) - 1], int(tat), int(now))


def levels(charges: Sequence[Charge], moments: Sequence[bytes], now: bytes) -> tuple[Level, ...]:
    """What is left in the buckets of these charges.

    Args:
        charges: as they were taken.
        moments: of their buckets, in microseconds; empty for a duplicate.
        now: the clock, in microseconds.
    """
    return tuple(
        level(charge, int(moment), int(now))
        for charge, moment in zip(charges, moments, strict=False)
    )


def to_text(charges: Sequence[Charge]) -> bytes:
    """A reservation as it is kept with its run; empty for none."""
    return encode(charges) if charges else b""


def from_text(text: str | None) -> tuple[Charge, ...]:
    """A reservation as it was kept."""
    return _CHARGES.decode(text) if text else ()
