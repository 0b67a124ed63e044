"""The time that a file's servers have seen pass. See `stores/seen_time.py` for the rule."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

from durable_llm_streams.store import Retention
from durable_llm_streams.stores.seen_time import MOST_BETWEEN_LOOKS, ClockWatch, counted

from .file import DatabaseFile


class SeenTime:
    """The count in `meta`: `seen`, and `wall`, the wall clock at the last look.

    Args:
        file: the serving connection.
        now: the wall clock, in milliseconds.
        monotonic: a monotonic clock, in milliseconds.

    Raises:
        StoreUnavailable: the count could not be written.
    """

    def __init__(
        self, file: DatabaseFile, now: Callable[[], int], monotonic: Callable[[], int]
    ) -> None:
        self._file = file
        self._now = now
        self._monotonic = monotonic
        self._watch = ClockWatch(monotonic)
        seen, _ = _read(file.connection)
        if seen is None:
            with file.transaction() as connection:
                seen = _begin(connection, now())
        self._seen = seen
        self._since = monotonic()

    def stamp(self) -> int:
        """The store's time now, for a chat that changes or a run that ends."""
        return self._seen + counted(self._monotonic() - self._since, MOST_BETWEEN_LOOKS)

    def check_jump(self) -> None:
        """Log a jump of the wall clock soon after it happened. Costs two readings of clocks."""
        self._watch.check_jump(self._now())

    @contextlib.contextmanager
    def look(self, wall: int, retention: Retention) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction that advances the store's time. Gives the connection and that time.

        Args:
            wall: the wall clock, in milliseconds.
            retention: how long things are kept.
        """
        look = self._watch.look(retention)
        with self._file.transaction() as connection:
            seen, before = _read(connection)
            if seen is None or before is None:
                seen, before = _begin(connection, wall), wall
            seen += counted(wall - before, look.most)
            _write(connection, seen, wall)
            yield connection, seen
        self._seen, self._since = seen, look.at
        self._watch.looked(look, wall, before)


def _read(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    rows = connection.execute("SELECT name, value FROM meta WHERE name IN ('seen', 'wall')")
    held: dict[str, int] = dict(rows.fetchall())
    return held.get("seen"), held.get("wall")


def _write(connection: sqlite3.Connection, seen: int, wall: int) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)", (("seen", seen), ("wall", wall))
    )


def _begin(connection: sqlite3.Connection, now: int) -> int:
    """Begin the count, for a new file or one of a version without a count.

    The stamps of an older version may come from a wrong clock, and so may `now`. So everything
    counts as new, and is kept longer, once.
    """
    connection.execute("UPDATE chat SET seen_at = ?", (now,))
    connection.execute("UPDATE run SET seen_at = ? WHERE ended_at IS NOT NULL", (now,))
    _write(connection, now, now)
    return now
