"""The buckets of the limits, and the reservations of runs, as rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from durable_llm_streams.chunks import encode
from durable_llm_streams.model import Charge, Level, Run
from durable_llm_streams.store.limits import MICROSECONDS, level, period, take

_MICROSECONDS = MICROSECONDS // 1000  # in a millisecond
_CHARGES = msgspec.json.Decoder(tuple[Charge, ...])


def charge(
    connection: sqlite3.Connection, charges: Sequence[Charge], now: int, *, refuse: bool = True
) -> tuple[Level, ...]:
    """Take all charges out of their buckets, or none.

    Args:
        connection: in a transaction.
        charges: see `take`.
        now: the wall clock, in milliseconds.
        refuse: whether a charge can be refused.

    Returns:
        What is then left in the bucket of each charge.

    Raises:
        LimitReached: one of them does not fit.
    """
    if not charges:
        return ()
    moment = now * _MICROSECONDS
    names = {charge.bucket: period(charge) for charge in charges}
    marks = ",".join("?" * len(names))
    rows = connection.execute(f"SELECT name, tat FROM bucket WHERE name IN ({marks})", (*names,))
    moved = take(charges, dict(rows.fetchall()), moment, refuse=refuse)
    marks = ",".join(["(?, ?, ?)"] * len(names))
    connection.execute(
        f"INSERT OR REPLACE INTO bucket VALUES {marks}",
        [part for name, length in names.items() for part in (name, moved[name], length)],
    )
    return tuple(level(charge, moved[charge.bucket], moment) for charge in charges)


def tidy(connection: sqlite3.Connection, now: int) -> None:
    """Delete buckets that are full again, and bring back moments of a clock that was ahead.

    Args:
        connection: in a transaction.
        now: the wall clock, in milliseconds.
    """
    moment = now * _MICROSECONDS
    connection.execute("DELETE FROM bucket WHERE tat <= ?", (moment,))
    connection.execute(
        "UPDATE bucket SET tat = ? + period WHERE tat > ? + period", (moment, moment)
    )


def write_reservation(connection: sqlite3.Connection, run_key: int, run: Run) -> None:
    """Write what a run has reserved; nothing if it has reserved nothing."""
    if run.charges:
        connection.execute(
            "INSERT OR REPLACE INTO reservation VALUES (?, ?, ?)",
            (run_key, encode(run.charges), run.reservations),
        )


def read_reservation(
    connection: sqlite3.Connection, run_key: int
) -> tuple[tuple[Charge, ...], int]:
    """The charges and the number of times that a run has reserved them."""
    row = connection.execute(
        "SELECT charges, times FROM reservation WHERE run = ?", (run_key,)
    ).fetchone()
    return ((), 0) if row is None else (_CHARGES.decode(row[0]), row[1])


def end_reservation(connection: sqlite3.Connection, run_key: int) -> None:
    """Delete what an ended run had reserved."""
    connection.execute("DELETE FROM reservation WHERE run = ?", (run_key,))
