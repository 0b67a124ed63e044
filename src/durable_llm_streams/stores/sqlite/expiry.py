"""Deleting from the file what has outlived its retention."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from durable_llm_streams.store import Retention
from durable_llm_streams.stores.housekeeping import Sweeper

from .buckets import tidy
from .eraser import Eraser
from .feed import SQLiteFeed
from .rows import CHAT_COLUMNS, ChatRow, chat_from_row
from .seen_time import SeenTime


class Expiry(Sweeper):
    """Deletes old logs and chats.

    Args:
        seen: the time that the store has seen pass.
        feed: where deleted chats are published.
        retention: how long things are kept.
        now: the wall clock, in milliseconds.
        eraser: erases what was deleted.
    """

    def __init__(
        self,
        seen: SeenTime,
        feed: SQLiteFeed,
        retention: Retention,
        now: Callable[[], int],
        eraser: Eraser,
    ) -> None:
        self._seen = seen
        self._feed = feed
        self.retention = retention
        self._now = now
        self._eraser = eraser

    @override
    async def delete_some(self) -> int:
        retention = self.retention
        count = 0
        deleted: list[ChatRow] = []
        with self._seen.look(self._now(), retention) as (connection, seen):
            tidy(connection, self._now())
            rows = connection.execute(
                "SELECT key FROM run WHERE seen_at < ? AND has_log LIMIT 200",
                (seen - round(retention.log * 1000),),
            ).fetchall()
            for row in rows:
                connection.execute("DELETE FROM segment WHERE run = ?", row)
                connection.execute("UPDATE run SET has_log = 0 WHERE key = ?", row)
            count += len(rows)
            if retention.chat > 0:
                deleted = connection.execute(
                    f"SELECT {CHAT_COLUMNS} FROM chat WHERE seen_at < ?"
                    " AND NOT EXISTS (SELECT 1 FROM run WHERE chat = chat.key"
                    " AND status IN ('queued', 'running')) LIMIT 50",
                    (seen - round(retention.chat * 1000),),
                ).fetchall()
                connection.executemany("DELETE FROM chat WHERE key = ?", [r[:1] for r in deleted])
                count += len(deleted)
        if count:
            self._eraser.request()
        for row in deleted:
            self._feed.publish("chat-deleted", chat_from_row(row, None))
        return count
