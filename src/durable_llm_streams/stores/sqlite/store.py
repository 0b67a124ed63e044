"""SQLite: one file, one serving process, nothing to install.

Every operation runs on the event loop's thread without an await in between. So no other task sees
half of it, and after a crash SQLite has all of it or nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from durable_llm_streams.clock import monotonic_clock, wall_clock
from durable_llm_streams.ids import new_token
from durable_llm_streams.store import Pace, Retention, RunList, Store
from durable_llm_streams.stores.housekeeping import Housekeeping

from .active_runs import ActiveRuns
from .chats import SQLiteChats
from .eraser import Eraser
from .expiry import Expiry
from .feed import SQLiteFeed
from .file import DatabaseFile, Synchronous, unusable
from .log import SQLiteLog
from .pages import Pages
from .readiness import Readiness
from .runs import SQLiteRuns
from .seen_time import SeenTime
from .visitors import SQLiteVisitors

#: Values in `meta` that are the store's own.
_OWN = frozenset({"node", "seen", "wall", "check", "zeroed"})


class SQLiteStore(Store):
    """The Store on one SQLite file.

    Args:
        path: the file; created if it does not exist.
        retention: how long things are kept.
        synchronous: `NORMAL` survives a killed process, `FULL` also a power failure.
        now: a wall clock in milliseconds, for tests.
        monotonic: a monotonic clock in milliseconds, for tests. Without it, a given `now` is used
            for both.
        token: draws the token of an epoch, lower-case hexadecimal digits.

    Attributes:
        file, active, pages, seen, expiry: its parts, for `dls migrate` and for tests.

    Raises:
        StoreLocked: another process serves the file.
        StoreUnusable: it is not a store, cannot be written, or is too new.
    """

    log: SQLiteLog
    runs: SQLiteRuns
    chats: SQLiteChats
    feed: SQLiteFeed
    operators: RunList
    visitors: SQLiteVisitors
    pace = Pace()

    def __init__(
        self,
        path: Path,
        *,
        retention: Retention | None = None,
        synchronous: Synchronous = "NORMAL",
        now: Callable[[], int] | None = None,
        monotonic: Callable[[], int] | None = None,
        token: Callable[[], str] = new_token,
    ) -> None:
        monotonic = monotonic or now or monotonic_clock
        now = now or wall_clock
        self.file = file = DatabaseFile(path, synchronous)
        try:
            self.active = active = ActiveRuns(file, now, monotonic, token)
            self.seen = seen = SeenTime(file, now, monotonic)
            self.visitors = SQLiteVisitors(file, seen)
        except BaseException as error:
            file.close()
            cause = error if isinstance(error, sqlite3.Error) else error.__cause__
            if isinstance(cause, sqlite3.Error):
                raise unusable(path, cause) from error
            raise
        self.feed = SQLiteFeed()
        self.pages = Pages(file, active)
        self.log = SQLiteLog(file, active, self.pages, self.feed, seen, now)
        self.runs = SQLiteRuns(file, active, self.feed, seen, now)
        self.operators = self.runs
        self._eraser = Eraser(file, active, self.log.journal)
        self.chats = SQLiteChats(file, active, self.pages, self.feed, self._eraser)
        self.expiry = Expiry(seen, self.feed, retention or Retention(), now, self._eraser)
        self._readiness = Readiness(file, monotonic)
        self._housekeeping = Housekeeping(self.expiry)

    @override
    async def open(self) -> None:
        self._housekeeping.start()  # the constructor has opened the file
        self._eraser.request()  # a process that was killed may have left something

    @override
    async def meta(self, name: str, default: bytes) -> bytes:
        if name in _OWN:
            raise ValueError(f"The store keeps a value of its own as {name!r}.")
        with self.file.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, default))
            (value,) = connection.execute(
                "SELECT value FROM meta WHERE name = ?", (name,)
            ).fetchone()
        return bytes(value)

    @override
    async def check(self) -> None:
        self._readiness.check()

    @override
    async def close(self) -> None:
        await self._housekeeping.stop()
        await self._eraser.close()
        self.active.work.notify()
        self.pages.close()
        self.feed.close()
        self.file.close()
