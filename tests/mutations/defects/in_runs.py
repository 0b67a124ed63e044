"""Slips in how an answer is written, gone on with, and ended."""

from __future__ import annotations

from typing import Final

from tests.mutations.defect import Defect

_ANSWER = "runs/answer.py"
_ATTEMPT = "runs/attempt.py"
_ENDINGS = "runs/endings.py"
_LADDER = "runs/ladder.py"
_STOPPING = "runs/stopping.py"

IN_RUNS: Final = (
    Defect(
        id="end-in-two-steps",
        slip="The terminal record is appended first; status and message follow in a second call.",
        breaks=("one-end",),
        file=_ENDINGS,
        diff="""
-from durable_llm_streams.store import Ending, LogStore
+from durable_llm_streams.store import Append, Ending, LogStore
@@
-        ending = Ending(run.id, epoch, len(log) + 1, records, status, fold.body(), now)
+        at = len(log) + 1
+        if epoch is not None:
+            await store.append([Append(run.id, epoch, at, records)])
+            at, records = at + len(records), []
+        ending = Ending(run.id, epoch, at, records, status, fold.body(), now)
""",
    ),
    Defect(
        id="end-over-the-log",
        slip="Whoever ends a run that has grown meanwhile ends it at the new place, unread.",
        breaks=("history-is-fold", "stop"),
        file=_ENDINGS,
        diff="""
-        except SequenceMismatch:
+        except SequenceMismatch as grown:
+            ending = Ending(
+                run.id, epoch, grown.next_seq, records, status, fold.body(), now
+            )
+            return await store.end(ending)
+        except StopIteration:
""",
        tests=("tests/test_run_stop.py::test_after_a_stop_nothing_follows_whatever_it_races_with",),
    ),
    Defect(
        id="history-from-memory",
        slip="The stored message is what was known before the last records were made.",
        breaks=("history-is-fold",),
        file=_ENDINGS,
        diff="""
-        fold.feed(closing)
""",
    ),
    Defect(
        id="restart-without-reset",
        slip="An attempt that begins anew does not tell readers to drop the one before.",
        breaks=("one-clean-answer", "history-is-fold"),
        file=_ANSWER,
        diff="""
-        if step.resets:
+        if step.resets and not step.repeated:
""",
    ),
    Defect(
        id="takeover-blind",
        slip="Whoever takes a run over begins it as if nothing had been said.",
        breaks=("one-clean-answer", "one-end"),
        file=_ANSWER,
        diff="""
-        return Fold.of(log)
+        return Fold.of(log) if self._writer.next_seq > self.claim.next_seq else Fold()
""",
    ),
    Defect(
        id="takeovers-uncounted",
        slip="Only failures that the log tells of are counted, not workers that have died.",
        breaks=("honest-failure",),
        file=_ANSWER,
        diff="""
-        self._failures = self._run.takeovers + fold.retries
+        self._failures = fold.retries
""",
        tests=(
            "tests/test_run_takeover.py::test_a_run_that_kills_every_worker_fails_after_its_attempts",
        ),
    ),
    Defect(
        id="retries-uncounted",
        slip="Only workers that have died are counted, not failures: it is tried for ever.",
        breaks=("honest-failure",),
        file=_ANSWER,
        diff="""
-        self._failures = self._run.takeovers + fold.retries
+        self._failures = self._run.takeovers
""",
        tests=(
            "tests/test_run_failures.py::test_an_answer_without_a_finish_was_cut_and_fails_when_it_always_is",
        ),
    ),
    Defect(
        id="gives-up-too-early",
        slip="A run is given up when one attempt of its budget is left.",
        breaks=("honest-failure",),
        file=_ANSWER,
        diff="""
-            if attempt >= self._limits.attempts and not refused:
+            if attempt + 1 >= self._limits.attempts and not refused:
""",
    ),
    Defect(
        id="stall-unnoticed",
        slip="The limit between tokens is for the first one alone; then a model may be silent.",
        breaks=("honest-failure",),
        file=_ATTEMPT,
        diff="""
                     text_head, reasoning_head = parts.open("text"), None
-                    patience.happened(limits.next_token)
+                    patience.pause()
""",
    ),
    Defect(
        id="cut-is-a-finish",
        slip="An answer whose connection ends is taken for one that is done.",
        breaks=("honest-failure",),
        file=_ATTEMPT,
        diff="""
-        raise ModelError(_CUT, meaning="cut", retryable=True, detail="no finish")
+        return Finish(reason="stop", metadata={})
""",
        stores=(),
        tests=(
            "tests/test_run_failures.py::test_an_answer_without_a_finish_was_cut_and_fails_when_it_always_is",
        ),
    ),
    Defect(
        id="prefill-inside-reasoning",
        slip="A model is asked to continue in the middle of its reasoning, where nothing is said.",
        breaks=("one-clean-answer",),
        file=_LADDER,
        diff="""
-    if kinds <= {"text", "reasoning", *_WHOLE} and open_kinds <= {"text"}:
-        if prefill and said:
+    if kinds and kinds <= {"text", "reasoning", *_WHOLE}:
+        if prefill:
""",
        tests=("tests/test_run_failures.py::test_a_cut_in_the_middle_of_reasoning_begins_again",),
    ),
    Defect(
        id="prefill-repeats",
        slip="A model that repeats what it continues is taken for one that does not.",
        breaks=("one-clean-answer",),
        file="providers/openai_compatible.py",
        diff="""
-            seam = Seam(prompt.said, echoes=echoes)
+            seam = Seam(prompt.said, echoes=False)
""",
        tests=(
            "tests/providers/test_corpus_http.py::test_what_a_provider_sent_comes_to_what_its_file_says[prefill/mistral-echo]",
        ),
    ),
    Defect(
        id="stop-appends",
        slip="A stop writes `abort` under the writer's epoch and leaves the rest to the writer.",
        breaks=("stop", "one-end"),
        file=_STOPPING,
        diff="""
-from durable_llm_streams.store import Store
+from durable_llm_streams.store import Append, Store
@@
-            await endings.end(store, run, None, stopped, last, now, tries=_TRIES)
+            page = await store.read(run.id, 0)
+            records = last(Fold.of(page.records))
+            await store.append([Append(run.id, run.epoch, page.next_seq, records)])
""",
    ),
    Defect(
        id="stop-in-the-writers-name",
        slip="A stop ends the run under the epoch that it has read before, without a claim.",
        breaks=("stop",),
        file=_STOPPING,
        diff="""
-            await endings.end(store, run, None, stopped, last, now, tries=_TRIES)
+            await endings.end(store, run, run.epoch, stopped, last, now, tries=_TRIES)
""",
        stores=(),
        tests=(
            "tests/test_run_stop.py::test_a_stop_gets_through_to_a_log_that_never_rests",
            "tests/test_run_stop.py::test_after_a_stop_nothing_follows_whatever_it_races_with",
            "tests/test_run_stop.py::test_a_queued_run_is_stopped_before_it_begins",
        ),
    ),
    Defect(
        id="provider-speaks",
        slip="The provider's own words stand in the sentence that readers are shown.",
        breaks=("no-secrets",),
        file="providers/failures/model_errors.py",
        diff="""
-        sentence,
+        f"{sentence} ({body})",
""",
    ),
    Defect(
        id="response-kept-open",
        slip="A provider's response is not closed when nobody reads on.",
        breaks=("no-leak",),
        file="providers/requests/connection.py",
        diff="""
-        response.close()
""",
        stores=(),
        tests=(
            "tests/test_openai_compatible.py::test_closing_the_generator_ends_the_providers_work",
            "tests/test_openai_compatible.py::test_cancelling_the_reader_ends_the_providers_work",
        ),
    ),
)
