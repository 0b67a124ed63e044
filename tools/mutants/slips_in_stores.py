"""The slips in the stores, but for Redis' scripts: of each, what an engineer may have got wrong."""

from __future__ import annotations

from typing import Final

from .by_hand import Slip

IN_SQLITE: Final = (
    # The fence compares the epoch's number alone.
    Slip(
        "sqlite-fence-by-number",
        "stores.sqlite.log:SQLiteLog._append",
        "active.writer != item.epoch",
        "(active.writer and active.writer.number) != item.epoch.number",
    ),
    # A worker with the right log end may end a run that another one has claimed.
    Slip(
        "sqlite-end-unfenced",
        "stores.sqlite.log:SQLiteLog._as_ended",
        "active.writer != ending.epoch",
        "active.writer is None",
    ),
    # The journal's row is written a moment later, when the readers have it already.
    Slip(
        "sqlite-seen-before-commit",
        "stores.sqlite.journal_writer:JournalWriter.write",
        "self._file.append_journal(row, data)",
        """
        import asyncio
        asyncio.get_running_loop().call_later(0.05, self._file.append_journal, row, data)
        """,
    ),
    # The message in the history is written beside the transaction that ends the run.
    Slip(
        "sqlite-message-later",
        "stores.sqlite.log:SQLiteLog.end",
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
        "stores.sqlite.journal_writer:JournalWriter._write_with_segments",
        "min(rows, default=row)",
        "max(rows, default=row)",
    ),
    # An append that comes again is added again, because its place is there already.
    Slip(
        "sqlite-append-not-idempotent",
        "stores.sqlite.log:SQLiteLog._append",
        "item.at != active.next_seq",
        "item.at > active.next_seq",
    ),
    # A claim takes every run that is running, whether or not its lease has run out.
    Slip(
        "sqlite-claim-ignores-lease",
        "stores.sqlite.active_runs:ActiveRuns.claimable",
        "active.run.status is Status.RUNNING and active.lease_until <= now",
        "active.run.status is Status.RUNNING",
    ),
    # A claim of a run that was written before continues under the same epoch.
    Slip(
        "sqlite-claim-same-epoch",
        "stores.sqlite.active_runs:ActiveRuns.claimed",
        "Epoch(run.epoch.number + 1, self._token())",
        "run.epoch if run.epoch.number else Epoch(1, self._token())",
    ),
    # A reader that is behind waits with those at the end, and gets the newest records alone.
    Slip(
        "sqlite-waits-while-behind",
        "stores.sqlite.pages:Pages.read",
        "after + 1 == active.next_seq",
        "bool(active.tail)",
    ),
    # The key that recognises a duplicate is looked up without its chat.
    Slip(
        "sqlite-key-without-its-chat",
        "stores.sqlite.runs:SQLiteRuns._duplicate",
        'f"SELECT content, {RUN_COLUMNS} FROM run WHERE chat = ? AND dedup = ?"',
        'f"SELECT content, {RUN_COLUMNS} FROM run WHERE (chat = ? OR 1) AND dedup = ?"',
    ),
    # A chat that is over age goes although an answer is being written in it.
    Slip(
        "sqlite-busy-chat-expires",
        "stores.sqlite.expiry:Expiry.delete_some",
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
    # Once the WAL was emptied, a write no longer waits for a lock.
    Slip(
        "sqlite-busy-timeout-stays-0",
        "stores.sqlite.file:DatabaseFile._restart_wal",
        'self.connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")',
        "pass",
    ),
    # A run is found through any chat that has the id of its own, also another owner's.
    Slip(
        "sqlite-run-by-the-chats-id",
        "stores.sqlite.runs:SQLiteRuns.find",
        "(run.owner, run.chat_id) != (owner, chat_id)",
        "run.chat_id != chat_id",
    ),
)

IN_REDIS: Final = (
    # This process's own readers are given records before Redis has taken them.
    Slip(
        "redis-seen-before-commit",
        "stores.redis.log:RedisLog.append",
        "committed = await self._append_all(batch); self._following.appended(batch, committed)",
        "self._following.appended(batch, [True] * len(batch));"
        " committed = await self._append_all(batch)",
    ),
    # A send that is repeated is handed the claim of the run's writer.
    Slip(
        "redis-second-claim",
        "stores.redis.runs:RedisRuns.send",
        'reply[0] == b"found"',
        'reply[0] == b"found" and run.status.ended',
    ),
    # Leases run out by the clock of the worker that asks, not by the store's.
    Slip(
        "redis-workers-clock",
        "stores.redis.store:RedisStore.__init__",
        'return "" if now is None else str(now())',
        """
        from durable_llm_streams.clock import wall_clock
        return str(wall_clock() if now is None else now())
        """,
    ),
    # A reader that is behind waits with those at the end, and gets the newest records alone.
    Slip(
        "redis-joins-while-behind",
        "stores.redis.live.following:Following.read",
        "after + 1 != tail.next_seq",
        "after + 1 > tail.next_seq",
    ),
    # A claim of a log that has records already begins its tail at record 1.
    Slip(
        "redis-tail-from-the-beginning",
        "stores.redis.live.following:Following.claimed",
        "claim.next_seq == 1",
        "claim.next_seq > 0",
    ),
    # A reader that waits is woken with the newest record of a batch, not with all.
    Slip(
        "redis-woken-with-the-newest",
        "stores.redis.live.tail:Tail._extend",
        "Page(first, records, next_seq, self.spans, status)",
        "Page(next_seq - 1, records[-1:], next_seq, self.spans, status)",
    ),
    # Once the connection broke and is back, the tails count as subscribed, although none is.
    Slip(
        "redis-subscribed-after-a-cut",
        "stores.redis.live.following:Following.missed",
        "tail.subscribed = False",
        "pass",
    ),
    # Of several calls under way only the first one fails at its deadline.
    Slip(
        "redis-next-deadline-unwatched",
        "stores.redis.client.connection:Connection._expire",
        "earliest is not None",
        "False",
    ),
    # The notes about moved slots outlive the map that they corrected.
    Slip(
        "cluster-notes-outlive-the-map",
        "stores.redis.client.cluster:Cluster._adopt",
        "self._moved.clear()",
        "pass",
    ),
)
