"""Slips in the worker: claims, heartbeats, hand-over."""

from __future__ import annotations

from typing import Final

from tests.mutations.defect import Defect

_WORKER = "runs/worker.py"

IN_WORKERS: Final = (
    Defect(
        id="heartbeat-never",
        slip="The heartbeat's loop sleeps and renews nothing.",
        breaks=("takeover", "honest-failure"),
        file=_WORKER,
        diff="""
-            await self._renew()
""",
        tests=(
            "tests/test_run_close.py::test_all_leases_are_renewed_in_one_call_five_times_in_a_lease",
        ),
    ),
    Defect(
        id="heartbeat-for-ever",
        slip="A run that has ended stays among those that are renewed and counted.",
        breaks=("no-leak", "honest-failure"),
        file=_WORKER,
        diff="""
-            del self._running[claim.run.id]
+            self._running[claim.run.id] = held
""",
    ),
    Defect(
        id="stop-only-signals",
        slip="A stop cancels the task that writes, if it is here, and leaves the log as it is.",
        breaks=("stop",),
        file=_WORKER,
        diff="""
-            ended = await self._stopper.stop(run, self.now())
+            ended = not run.status.ended
""",
    ),
    Defect(
        id="task-forgotten",
        slip="A run's task is not remembered, so the end of the process does not wait for it.",
        breaks=("no-leak", "hand-over"),
        file=_WORKER,
        diff="""
-        self._tasks.add(task)
""",
    ),
    Defect(
        id="release-forgotten",
        slip="A planned end keeps its runs; the next worker waits for their leases.",
        breaks=("hand-over",),
        file=_WORKER,
        diff="""
-        await self._give_back([claim for claim, _ in held])
+        held.clear()
""",
        tests=(
            "tests/test_run_close.py::test_an_answer_longer_than_the_grace_is_taken_over_at_once",
        ),
    ),
    Defect(
        id="two-claims-for-a-message",
        slip="Whoever is asked the same again claims the run from the one who writes it.",
        breaks=("idempotent-send",),
        file=_WORKER,
        diff="""
             self._reserved -= room
+        if not (sent.created or sent.run.status.ended or self._draining):
+            lease = self.limits.lease
+            self._start(await self._store.seize(sent.run.id, self._name, lease))
""",
        tests=(
            "tests/http/test_sending.py::test_a_message_sent_many_times_at_once_makes_one_run",
            "tests/http/test_sending.py::test_a_message_sent_again_in_the_middle_follows_from_the_start",
        ),
    ),
    Defect(
        id="claimed-and-not-begun",
        slip="What is claimed while the process is told to end is neither begun nor given back.",
        breaks=("hand-over",),
        file=_WORKER,
        diff="""
-            await self._guarded(self._store.release(claims), None)
""",
        stores=(),
        tests=(
            "tests/test_run_close.py::test_what_is_claimed_while_the_end_is_told_is_given_back",
        ),
    ),
    Defect(
        id="too-many-at-once",
        slip="A worker takes every run that it is sent, however many it executes.",
        breaks=("bounded",),
        file=_WORKER,
        diff="""
-        room = self._room() > 0
+        room = self._room() > -10**9
""",
        stores=(),
        tests=(
            "tests/test_run_plain.py::test_no_more_runs_are_executed_at_once_than_allowed",
        ),
    ),
)
