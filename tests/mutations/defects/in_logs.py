"""Slips in the writing and reading of logs, whatever the store, and in the bytes of records."""

from __future__ import annotations

from typing import Final

from tests.mutations.defect import Defect

_LOG = "log/writer.py"
_READER = "log/reader.py"
_CHUNKS = "chunks.py"

IN_LOGS: Final = (
    Defect(
        id="unknown-is-done",
        slip="A flush of which nobody knows whether it was written counts as written.",
        breaks=("outage", "honest-failure"),
        file=_LOG,
        diff="""
-                if self._closing:
-                    raise
@@
                 logger.warning("%s", error)
+                return [True] * len(batch)
""",
        tests=("tests/test_log.py::test_a_flush_of_which_nobody_knows_is_sent_again_as_it_was",),
    ),
    Defect(
        id="unknown-is-failed",
        slip="A flush of which nobody knows whether it was written counts as refused.",
        breaks=("outage",),
        file=_LOG,
        diff="""
-                if self._closing:
-                    raise
@@
                 logger.warning("%s", error)
+                return [False] * len(batch)
""",
        stores=(),
        tests=("tests/test_log.py::test_a_flush_of_which_nobody_knows_is_sent_again_as_it_was",),
    ),
    Defect(
        id="close-without-flush",
        slip="Closing ends the flusher where it is, whatever it still holds.",
        breaks=("hand-over",),
        file=_LOG,
        diff="""
-                await self._task
+                self._task.cancel()
+                await asyncio.wait([self._task])
+                self._task = None
""",
        stores=(),
        tests=(
            "tests/test_log.py::test_closing_writes_what_is_pending_and_fences_later_writes",
        ),
    ),
    Defect(
        id="flusher-dies-with-its-batch",
        slip="A flusher that is ended tells those who wait for the next flush, not for this one.",
        breaks=("no-leak", "outage"),
        file=_LOG,
        diff="""
-            given_up, self._dirty, self._urgent = [*lot, *self._dirty, *self._urgent], [], []
+            given_up, self._dirty, self._urgent = [*self._dirty, *self._urgent], [], []
""",
        stores=(),
        tests=(
            "tests/test_log.py::test_a_flusher_that_died_is_replaced_and_its_writers_are_fenced",
        ),
    ),
    Defect(
        id="cursor-by-number-alone",
        slip="A cursor is compared by its number; who wrote its record is not looked at.",
        breaks=("lost-tail-is-told",),
        file=_READER,
        diff="""
-    return place.token if place.seq else None
+    return None
""",
        stores=("redis",),
        tests=(
            "tests/http/test_following.py::test_who_read_what_the_store_has_lost_since_is_told_and_gets_no_other_text",
            "tests/http/test_following.py::test_a_cursor_that_the_log_does_not_hold_is_lost",
        ),
    ),
    Defect(
        id="merged-under-the-first-id",
        slip="Deltas that are merged for a late reader get the number of the first one.",
        breaks=("prefix",),
        file=_CHUNKS,
        diff="""
-                    merged.append((index - 1, head + b"".join(texts) + b'"}'))
+                    merged.append((index - len(texts), head + b"".join(texts) + b'"}'))
""",
    ),
    Defect(
        id="merged-over-parts",
        slip="Deltas are merged when they are of one kind, whatever part they belong to.",
        breaks=("history-is-fold", "compatible"),
        file=_CHUNKS,
        diff="""
-                if record.startswith(head) and _is_one_string(record, len(head)):
+                if record.startswith(head[:24]) and _is_one_string(record, len(head)):
""",
        stores=(),
        tests=("tests/test_chunks.py::test_deltas_of_different_parts_stay_apart",),
    ),
)
