"""The slips in the stores, but for Redis' scripts: of each, what an engineer may have got wrong."""

from __future__ import annotations

from typing import Final

from .by_hand import Slip

IN_SQLITE: Final = (
    # The fence compares the epoch's number alone.
    Slip(
        "sqlite-fence-by-number",
        "stores.sqlite.logs:Logs.append",
        "active.writer != item.epoch",
        "(active.writer and active.writer.number) != item.epoch.number",
    ),
    # A worker that knows where the log ends may end a run that another one has claimed.
    Slip(
        "sqlite-end-unfenced",
        "stores.sqlite.endings:Endings._as_ended",
        "run.status is Status.RUNNING and run.epoch == ending.epoch",
        "run.status is Status.RUNNING",
    ),
    # The journal's row is written a moment later, when the readers have it already.
    Slip(
        "sqlite-seen-before-commit",
        "stores.sqlite.logs:Logs._write",
        "self._file.append_journal(row, data)",
        "asyncio.get_running_loop().call_later(0.05, self._file.append_journal, row, data)",
    ),
    # The message in the history is written beside the transaction that ends the run.
    Slip(
        "sqlite-message-later",
        "stores.sqlite.endings:Endings.end",
        """
        connection.execute(
            "UPDATE message SET body = ? WHERE chat = ? AND id = ?",
            (ending.body, active.chat, ended.message_id),
        )
        """,
        """
        import asyncio
        asyncio.get_running_loop().call_later(
            0.1,
            self._file.connection.execute,
            "UPDATE message SET body = ? WHERE chat = ? AND id = ?",
            (ending.body, active.chat, ended.message_id),
        )
        """,
    ),
    # When segments are written, the journal loses the rows of runs that have none yet.
    Slip(
        "sqlite-journal-trimmed-early",
        "stores.sqlite.logs:Logs._write_and_seal",
        "min(rows, default=row)",
        "max(rows, default=row)",
    ),
    # An append that comes again is added again, because its place is there already.
    Slip(
        "sqlite-append-not-idempotent",
        "stores.sqlite.logs:Logs.append",
        "item.at != active.next_seq",
        "item.at > active.next_seq",
    ),
    # A claim takes every run that is running, whether or not its lease has run out.
    Slip(
        "sqlite-claim-ignores-lease",
        "stores.sqlite.logs:Logs._claimable",
        "active.lease_until <= now",
        "active.run.status is Status.RUNNING",
    ),
    # A claim of a run that was written before goes on under the same epoch.
    Slip(
        "sqlite-claim-same-epoch",
        "stores.sqlite.logs:Logs.next_epoch",
        "Epoch(run.epoch.number + 1, self._token())",
        "run.epoch if run.epoch.number else Epoch(1, self._token())",
    ),
    # A reader that is behind waits for news with those at the end, and gets the news.
    Slip(
        "sqlite-waits-while-behind",
        "stores.sqlite.logs:Logs.read",
        "after + 1 == active.next_seq",
        "bool(active.tail)",
    ),
    # The key that recognises a duplicate is looked up without its chat.
    Slip(
        "sqlite-key-without-its-chat",
        "stores.sqlite.chats:Chats._repetition",
        'f"SELECT content, {RUN_COLUMNS} FROM run WHERE chat = ? AND dedup = ?"',
        'f"SELECT content, {RUN_COLUMNS} FROM run WHERE (chat = ? OR 1) AND dedup = ?"',
    ),
    # A chat that is over age goes although an answer is being written in it.
    Slip(
        "sqlite-busy-chat-expires",
        "stores.sqlite.chats:Chats.expire",
        """
        f"SELECT {CHAT_COLUMNS} FROM chat WHERE seen_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM run WHERE chat = chat.key"
        " AND status IN ('queued', 'running')) LIMIT 50"
        """,
        """
        f"SELECT {CHAT_COLUMNS} FROM chat WHERE seen_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM run WHERE chat = chat.key"
        " AND status IN ('queued')) LIMIT 50"
        """,
    ),
    # Once the WAL was emptied, a write does not wait for a lock any more.
    Slip(
        "sqlite-busy-timeout-stays-0",
        "stores.sqlite.file:DatabaseFile._restart_wal",
        'self.connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")',
        "pass",
    ),
)

IN_REDIS: Final = (
    # This process's own readers are given records before Redis has taken them.
    Slip(
        "redis-seen-before-commit",
        "stores.redis:RedisStore.append",
        "stands = await self._logs.append(batch); self._following.appended(batch, stands)",
        "self._following.appended(batch, [True] * len(batch));"
        " stands = await self._logs.append(batch)",
    ),
    # A send that is repeated is handed the claim of the run's writer.
    Slip(
        "redis-second-claim",
        "stores.redis.runs:Runs.send",
        'reply[0] == b"found"',
        'reply[0] == b"found" and run.status.ended',
    ),
    # Leases run out by the clock of the worker that asks, not by the store's.
    Slip(
        "redis-workers-clock",
        "stores.redis.context:Shared.clock",
        '"" if self._now is None else str(self._now())',
        "str(self.wall_clock())",
    ),
    # A reader that is behind waits for news with those at the end, and gets the news.
    Slip(
        "redis-joins-while-behind",
        "stores.redis.following:Following.read",
        "after + 1 != tail.next_seq or tail.status.ended",
        "tail.status.ended",
    ),
    # A reader that waits is woken with the newest record of a batch, not with all.
    Slip(
        "redis-woken-with-the-newest",
        "stores.redis.tails:Tail._extend",
        "Page(first, records, next_seq, self.spans, status)",
        "Page(next_seq - 1, records[-1:], next_seq, self.spans, status)",
    ),
    # Once the connection broke and is back, the tails count as subscribed, although none is.
    Slip(
        "redis-subscribed-after-a-cut",
        "stores.redis.following:Following.cut",
        "tail.subscribed = False",
        "pass",
    ),
    # The notes about moved slots outlive the map that they corrected.
    Slip(
        "cluster-notes-outlive-the-map",
        "stores.redis.cluster:Cluster._adopt",
        "self._moved.clear()",
        "pass",
    ),
)
