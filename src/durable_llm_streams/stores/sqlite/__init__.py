"""SQLite: one file, one serving process, nothing to install.

Every operation runs on the event loop's thread from its beginning to its end, without an await in
between: that makes it atomic towards the other tasks, and SQLite makes it atomic towards a crash.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from durable_llm_streams.clock import monotonic_clock, wall_clock
from durable_llm_streams.ids import new_token
from durable_llm_streams.model import Chat, Claim, Message, Run
from durable_llm_streams.store import (
    PAGE_BYTES,
    Append,
    Changes,
    ChatPage,
    Ending,
    Order,
    Pace,
    Page,
    Sent,
    Snapshot,
)

from .chats import Chats
from .endings import Endings
from .feed import Feeds
from .file import DatabaseFile, Synchronous, unusable
from .log import Logs
from .readiness import Readiness
from .readonly import SQLiteView
from .rows import RUN_COLUMNS, run_from_row
from .seen_time import SeenTime

__all__ = ["SQLiteStore", "SQLiteView", "Synchronous"]


class SQLiteStore:
    """The Store contract on one SQLite file.

    Args:
        path: the file; made when it is not there.
        synchronous: `NORMAL` survives a killed process, `FULL` also a power failure.
        now: a wall clock in milliseconds, for tests.
        monotonic: a clock that nobody sets, in milliseconds, for tests. Without it a given `now`
            stands for both.
        token: draws the token of an epoch, lower-case hexadecimal digits.

    Raises:
        StoreLocked: another process serves the file.
        StoreUnusable: it is no store, cannot be written, or is too new.
    """

    pace = Pace()

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = "NORMAL",
        now: Callable[[], int] | None = None,
        monotonic: Callable[[], int] | None = None,
        token: Callable[[], str] = new_token,
    ) -> None:
        monotonic = monotonic or now or monotonic_clock
        now = now or wall_clock
        self._file = DatabaseFile(path, synchronous)
        try:
            self._logs = Logs(self._file, now, monotonic, token)
            self._seen = SeenTime(self._file, now, monotonic)
        except BaseException as error:
            self._file.close()
            cause = error if isinstance(error, sqlite3.Error) else error.__cause__
            if isinstance(cause, sqlite3.Error):
                raise unusable(path, cause) from error
            raise
        self._feeds = Feeds()
        self._endings = Endings(self._file, self._logs, self._feeds, self._seen)
        self._chats = Chats(self._file, self._logs, self._feeds, self._seen)
        self._readiness = Readiness(self._file, monotonic)

    async def open(self) -> None:
        """See `Store.open`. The constructor has done it."""

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        """See `LogStore.append`."""
        return self._logs.append(batch)

    async def end(self, ending: Ending) -> Run:
        """See `LogStore.end`."""
        return self._endings.end(ending)

    def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Coroutine[Any, Any, Page]:
        """See `LogReader.read`. No coroutine of its own: every live reader waits in here."""
        return self._logs.read(run_id, after, max_bytes, wait)

    async def send(self, order: Order) -> Sent:
        """See `RunStore.send`."""
        return self._chats.send(order)

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        """See `RunStore.claim`. One process serves the file, so the worker's name tells nothing."""
        self._seen.glance()  # workers look for runs all the time
        return self._logs.claim(limit, lease)

    async def work(self, wait: float) -> None:
        """See `RunStore.work`."""
        await self._logs.work(wait)

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        """See `RunStore.seize`."""
        return self._logs.seize(run_id, lease)

    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        """See `RunStore.renew`."""
        return self._logs.renew(claims, lease)

    async def release(self, claims: Sequence[Claim]) -> None:
        """See `RunStore.release`."""
        self._logs.release(claims)

    async def find_run(self, owner: str | None, chat_id: str, run_id: str | None = None) -> Run:
        """See `RunStore.find_run`."""
        return self._chats.find_run(owner, chat_id, run_id)

    async def runs(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        """See `RunStore.runs`."""
        condition = "WHERE status IN ('queued', 'running')" if active else ""
        with self._file.translated_errors():
            rows = self._file.connection.execute(
                f"SELECT {RUN_COLUMNS} FROM run {condition} ORDER BY key DESC LIMIT ?", (limit,)
            ).fetchall()
        return [run_from_row(row) for row in rows]

    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        """See `ChatStore.snapshot`."""
        return self._chats.snapshot(owner, chat_id, leaf)

    async def thread(self, run_id: str) -> Sequence[Message]:
        """See `ChatStore.thread`."""
        return self._chats.thread(run_id)

    async def chats(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
        """See `ChatStore.chats`."""
        return self._chats.chats(owner, query, limit, more)

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """See `ChatStore.rename`."""
        return self._chats.rename(owner, chat_id, title)

    async def delete(self, owner: str, chat_id: str) -> None:
        """See `ChatStore.delete`."""
        self._chats.delete(owner, chat_id)

    def changes(
        self, owner: str, after: str | None, *, wait: float = 0.0
    ) -> Coroutine[Any, Any, Changes]:
        """See `FeedStore.changes`."""
        return self._feeds.changes(owner, after, wait)

    async def secret(self) -> bytes:
        """See `Store.secret`."""
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_bytes(32),)
            )
            (secret,) = connection.execute(
                "SELECT value FROM meta WHERE name = 'secret'"
            ).fetchone()
        return bytes(secret)

    async def check(self) -> None:
        """See `Store.check`."""
        self._readiness.check()

    async def expire(self, *, now: int, log_age: float, chat_age: float) -> int:
        """See `Store.expire`."""
        return self._chats.expire(now, log_age, chat_age)

    async def close(self) -> None:
        """See `Store.close`."""
        self._logs.close()
        self._feeds.close()
        self._file.close()
