"""Slips in the store on SQLite."""

from __future__ import annotations

from typing import Final

from tests.mutations.defect import Defect

_LOGS = "stores/sqlite/logs.py"
_CHATS = "stores/sqlite/chats.py"
_ENDINGS = "stores/sqlite/endings.py"
_ONLY = ("sqlite",)
_CONTRACT = "tests/test_store_sqlite.py::TestContract::"

IN_SQLITE: Final = (
    Defect(
        id="sqlite-append-unfenced",
        slip="An append looks at where the log ends, but not at who writes.",
        breaks=("fencing", "stop"),
        file=_LOGS,
        diff="""
-            if active is None or active.writer != item.epoch:
+            if active is None:
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_an_epoch_that_was_claimed_away_writes_nothing",),
    ),
    Defect(
        id="sqlite-fence-by-number",
        slip="The fence compares the epoch's number and takes the token for decoration.",
        breaks=("fencing",),
        file=_LOGS,
        diff="""
-            if active is None or active.writer != item.epoch:
+            if active is None or (active.writer and active.writer.number) != item.epoch.number:
""",
        stores=(),
        tests=(f"{_CONTRACT}test_the_number_and_the_token_must_both_be_the_claims",),
    ),
    Defect(
        id="sqlite-end-unfenced",
        slip="Whoever knows where the log ends may end a run that another worker has claimed.",
        breaks=("fencing", "one-end"),
        file=_ENDINGS,
        diff="""
-        elif run.status is Status.RUNNING and run.epoch == ending.epoch:
+        elif run.status is Status.RUNNING:
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_only_the_runs_epoch_may_end_it",),
    ),
    Defect(
        id="sqlite-seen-before-commit",
        slip="The journal's row is written a moment later, when the readers have it already.",
        breaks=("seen-is-durable", "prefix"),
        file=_LOGS,
        diff="""
         else:
-            self._file.append_journal(row, data)
+            loop = asyncio.get_running_loop()
+            loop.call_later(0.05, self._file.append_journal, row, data)
""",
        stores=_ONLY,
    ),
    Defect(
        id="sqlite-append-not-idempotent",
        slip="An append that comes again is added again, because its place is there already.",
        breaks=("prefix", "outage"),
        file=_LOGS,
        diff="""
-            elif item.at != active.next_seq:
+            elif item.at > active.next_seq:
""",
        stores=_ONLY,
    ),
    Defect(
        id="sqlite-message-later",
        slip="The message in the history is written beside the transaction that ends the run.",
        breaks=("one-end", "history-is-fold"),
        file=_ENDINGS,
        diff="""
 from __future__ import annotations
+
+import asyncio
@@
             update_run(connection, ended, next_seq, seen_at)
-            connection.execute(
+            asyncio.get_running_loop().call_later(
+                0.1,
+                self._file.connection.execute,
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_the_end_is_one_step",),
    ),
    Defect(
        id="sqlite-journal-trimmed-early",
        slip="When segments are written, the journal loses the rows of runs that have none yet.",
        breaks=("seen-is-durable", "takeover"),
        file=_LOGS,
        diff="""
-                connection.execute("DELETE FROM journal WHERE id < ?", (min(rows, default=row),))
+                connection.execute("DELETE FROM journal WHERE id < ?", (max(rows, default=row),))
""",
        stores=_ONLY,
        tests=("tests/test_store_sqlite.py::test_random_operations_do_what_they_do_in_the_model",),
    ),
    Defect(
        id="sqlite-claim-ignores-lease",
        slip="A claim takes every run that is running, whether or not its lease has run out.",
        breaks=("takeover", "honest-failure"),
        file=_LOGS,
        diff="""
-        return active.lease_until <= now
+        return active.run.status is Status.RUNNING
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_a_live_lease_keeps_others_away",),
    ),
    Defect(
        id="sqlite-claim-same-epoch",
        slip="A claim of a run that somebody has written already goes on under the same epoch.",
        breaks=("fencing",),
        file=_LOGS,
        diff="""
-        return Epoch(run.epoch.number + 1, self._token())
+        return run.epoch if run.epoch.number else Epoch(1, self._token())
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_every_claim_has_another_token",),
    ),
    Defect(
        id="sqlite-release-keeps-lease",
        slip="A run that is given back stays `running` until its lease has run out.",
        breaks=("hand-over",),
        file=_LOGS,
        diff="""
-                active.become(structs.replace(active.run, status=Status.QUEUED))
-                active.lease_until = 0
+                active.become(active.run)
""",
        stores=(),
        tests=(f"{_CONTRACT}test_a_run_that_is_given_back_is_claimable_at_once",),
    ),
    Defect(
        id="sqlite-waits-while-behind",
        slip="A reader that is behind waits for news with those at the end, and gets the news.",
        breaks=("prefix",),
        file=_LOGS,
        diff="""
-        if wait > 0 and active is not None and after + 1 == active.next_seq:
+        if wait > 0 and active is not None and active.tail:
""",
        stores=_ONLY,
    ),
    Defect(
        id="sqlite-foreign-owner",
        slip="Whose chat it is, is looked at when it is made, but not when one sends into it.",
        breaks=("owned",),
        file=_CHATS,
        diff="""
-        if row is None or row[2] != owner:
+        if row is None:
""",
        stores=(),
        tests=(f"{_CONTRACT}test_nobody_sends_into_a_foreign_chat",),
    ),
    Defect(
        id="sqlite-busy-chat-expires",
        slip="A chat that is over age goes although an answer is being written in it.",
        breaks=("bounded", "honest-failure"),
        file=_CHATS,
        diff="""
-                    " AND status IN ('queued', 'running')) LIMIT 50",
+                    " AND status IN ('queued')) LIMIT 50",
""",
        stores=(),
        tests=(f"{_CONTRACT}test_a_chat_in_which_an_answer_is_written_stays",),
    ),
)
