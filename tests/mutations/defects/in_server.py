"""Slips in the HTTP side: streams, cursors, sending."""

from __future__ import annotations

from typing import Final

from tests.mutations.defect import Defect

_STREAMS = "server/streams.py"
_SENDING = "server/sending.py"

IN_SERVER: Final = (
    Defect(
        id="cursor-skips-one",
        slip="Who comes back with a cursor is sent what comes after the next record.",
        breaks=("prefix",),
        file=_SENDING,
        diff="""
-    return _stream(shared, visitor, run, place)
+    place = place._replace(seq=min(place.seq + 1, page.next_seq - 1))
+    return _stream(shared, visitor, run, place)
""",
    ),
    Defect(
        id="cursor-repeats-one",
        slip="Who comes back with a cursor is sent the record that it names once more.",
        breaks=("prefix",),
        file=_SENDING,
        diff="""
-    return _stream(shared, visitor, run, place)
+    return _stream(shared, visitor, run, place._replace(seq=max(0, place.seq - 1)))
""",
    ),
    Defect(
        id="nothing-missing-yet",
        slip="Who has all there is of an answer that goes on is told that nothing is missing.",
        breaks=("prefix", "one-end"),
        file=_SENDING,
        diff="""
-    if page.status.ended and not page.records:
+    if not page.records:
""",
    ),
    Defect(
        id="done-without-end",
        slip="A stream that a server's end cuts short says DONE like one that is complete.",
        breaks=("one-end", "hand-over"),
        file=_STREAMS,
        diff="""
-        if ended:
+        if ended or leaving:
""",
    ),
    Defect(
        id="lost-text-unnoticed",
        slip="An open stream reads on although another epoch has written its last record anew.",
        breaks=("lost-tail-is-told",),
        file=_STREAMS,
        diff="""
-                token = token_after(page, after, token)
+                token = None
""",
        stores=("redis",),
        tests=(
            "tests/http/test_following.py::test_who_read_what_the_store_has_lost_since_is_told_and_gets_no_other_text",
        ),
    ),
    Defect(
        id="watcher-left-behind",
        slip="Whoever watches for a client's going away watches on when its stream is over.",
        breaks=("no-leak",),
        file=_STREAMS,
        diff="""
-            watcher.cancel()
""",
    ),
    Defect(
        id="key-ignored",
        slip="The Idempotency-Key is checked and then forgotten.",
        breaks=("idempotent-send",),
        file=_SENDING,
        diff="""
-        key = f"key:{key}"
+        key = f"key:{reading.message_id or now}"
""",
        tests=(
            "tests/http/test_sending.py::test_an_idempotency_key_makes_a_retry_with_a_new_id_the_same_message",
            "tests/http/test_sending.py::test_an_idempotency_key_tells_one_regeneration_from_another",
        ),
    ),
    Defect(
        id="stop-for-anybody",
        slip="A stop looks for the run by its chat, whoever asks.",
        breaks=("owned",),
        file=_SENDING,
        diff="""
-        found = await shared.store.find_run(visitor.owner, chat_id(request), run)
+        found = await shared.store.find_run(None, chat_id(request), run)
""",
        stores=(),
        tests=(
            "tests/http/test_visitors.py::test_what_is_not_yours_looks_like_what_is_not_there",
            "tests/http/test_visitors.py::test_a_run_of_ones_own_other_chat_does_not_open_somebody_elses",
        ),
    ),
)
