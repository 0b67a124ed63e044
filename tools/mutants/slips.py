"""The slips outside the stores: of each, what an engineer may have got wrong."""

from __future__ import annotations

from typing import Final

from .by_hand import Slip

IN_LOGS: Final = (
    # A flush with an unknown outcome counts as written.
    Slip(
        "unknown-is-done",
        "log.writer:Flusher._commit",
        "await asyncio.sleep(_RETRY.delay(failures))",
        "return [True] * len(batch)",
    ),
    # The same, and it counts as refused.
    Slip(
        "unknown-is-failed",
        "log.writer:Flusher._commit",
        "await asyncio.sleep(_RETRY.delay(failures))",
        "return [False] * len(batch)",
    ),
    # Closing ends the flusher where it is, whatever it still holds.
    Slip(
        "close-without-flush",
        "log.writer:Flusher.close",
        "await self._task",
        "self._task.cancel(); await asyncio.wait([self._task]); self._task = None",
    ),
    # Writers with pending records wait for ever when the flusher dies.
    Slip(
        "flusher-dies-with-its-queue",
        "log.writer:Flusher._run",
        "[writer for _, writer in self._dirty if writer.pending]",
        "[]",
    ),
    # The delay that a busy core calls for stays when there is room again.
    Slip(
        "delay-never-shrinks",
        "log.pacing:Pacing.flushed",
        "self._busy - _TARGET",
        "max(0.0, self._busy - _TARGET)",
    ),
    # A writer that does not wait takes all others along: no batch grows while answers begin.
    Slip(
        "urgent-flushes-all",
        "log.writer:Flusher._take_due",
        "inf if self._closing else now - max(0.0, pacing.delay - pacing.interval)",
        "inf if self._closing or urgent else now - max(0.0, pacing.delay - pacing.interval)",
    ),
    # A cursor is compared by its number; the epoch that wrote its record is not looked at.
    Slip(
        "cursor-by-number-alone",
        "log.reader:Reader.read",
        "after and token_at(spans, after) != self.token",
        "False",
    ),
    # An open reader reads on although another epoch has written its last record anew.
    Slip(
        "lost-text-unnoticed",
        "log.reader:Reader.read",
        "after and token_at(spans, after) != self.token",
        "self._checked is None and after and token_at(spans, after) != self.token",
    ),
    # Deltas that are merged for a late reader get the number of the first one.
    Slip(
        "merged-under-the-first-id",
        "chunks:merge",
        "merged.append((index - 1, head + b''.join(texts) + b'\"}'))",
        "merged.append((index - len(texts), head + b''.join(texts) + b'\"}'))",
    ),
    # Deltas are merged when they are of one kind, whatever part they belong to.
    Slip(
        "merged-over-parts",
        "chunks:merge",
        "record.startswith(head)",
        "record.startswith(head[:24])",
    ),
)

IN_RUNS: Final = (
    # The terminal record is appended first; status and message follow in a second call.
    Slip(
        "end-in-two-steps",
        "runs.ending:end",
        "await log.end(Ending(run.id, epoch, place, records, status, fold.body(), now, charges))",
        """
        from durable_llm_streams.store import Append
        await log.append([Append(run.id, epoch, place, records)])
        place += len(records)
        await log.end(Ending(run.id, epoch, place, [], status, fold.body(), now))
        """,
    ),
    # A run whose log has changed meanwhile is ended at the new place, unread.
    Slip(
        "end-over-the-log",
        "runs.ending:end",
        'raise StoreUnavailable("The store has lost records of this run.") from error',
        "await log.end(Ending(run.id, epoch, error.next_seq, records, status, fold.body(), now))",
    ),
    # A stop writes `abort` under the writer's epoch and leaves the rest to the writer.
    Slip(
        "stop-appends",
        "runs.ending:stop",
        "return await end(store.log, claim.run, claim.epoch, Status.STOPPED, last, now)",
        """
        from durable_llm_streams.store import Append
        page = await store.log.read(run.id, 0)
        fold = Fold.of(page.records)
        await store.log.append([Append(run.id, run.epoch, page.next_seq, last(fold))])
        return fold
        """,
    ),
    # A stop ends the run under the epoch that it has read before, without a claim.
    Slip(
        "stop-in-the-writers-name",
        "runs.ending:stop",
        "return await end(store.log, claim.run, claim.epoch, Status.STOPPED, last, now)",
        "return await end(store.log, run, run.epoch, Status.STOPPED, last, now)",
    ),
    # An attempt that starts over does not always reset its readers.
    Slip(
        "restart-without-reset",
        "runs.answer:Answer._ask",
        "step.resets",
        "step.resets and not step.repeated",
    ),
    # The worker that takes a run over begins it as if nothing had been said.
    Slip(
        "takeover-blind",
        "runs.answer:Answer._read",
        "Fold.of(log)",
        "Fold.of(log) if self._writer.next_seq > self.claim.next_seq else Fold()",
    ),
    # Only failures recorded in the log are counted, not workers that have died.
    Slip(
        "takeovers-uncounted",
        "runs.answer:Answer._attempt",
        "self._run.takeovers + fold.retries",
        "fold.retries",
    ),
    # Only workers that have died are counted, not failures: it is tried for ever.
    Slip(
        "retries-uncounted",
        "runs.answer:Answer._attempt",
        "self._run.takeovers + fold.retries",
        "self._run.takeovers",
    ),
    # A run is given up when one attempt of its budget is left.
    Slip(
        "gives-up-too-early",
        "runs.answer:Answer._try_until_done",
        "attempt >= self._limits.attempts",
        "attempt + 1 >= self._limits.attempts",
    ),
    # The limit between tokens holds for the first one alone; then a model may be silent.
    Slip(
        "stall-unnoticed",
        "runs.attempt:Attempt._read",
        """
        text_head, reasoning_head = parts.open("text"), None
        idle.progressed(limits.next_token)
        """,
        """
        text_head, reasoning_head = parts.open("text"), None
        idle.pause()
        """,
    ),
    # An answer whose connection ends is taken for one that is done.
    Slip(
        "cut-is-a-finish",
        "runs.attempt:Attempt._read",
        'raise ModelError(_CUT, meaning="cut", retryable=True, detail="no finish")',
        'return Finish(reason="stop", metadata={})',
    ),
    # Text that a job repeats is skipped across a change from reasoning to text.
    Slip(
        "skips-across-kinds",
        "runs.ladder:skip",
        "isinstance(event, Finish) or kind != _kind(event)",
        "isinstance(event, Finish)",
    ),
    # A model is asked to continue in the middle of its reasoning, where nothing is said.
    Slip(
        "prefill-inside-reasoning",
        "runs.ladder:choose",
        'kinds <= {"text", "reasoning", *_WHOLE} and open_kinds <= {"text"}',
        'kinds <= {"text", "reasoning", *_WHOLE}',
    ),
    # A stop cancels the task that writes, if it is here, and leaves the log as it is.
    Slip(
        "stop-only-signals",
        "runs.worker:Worker.stop",
        "fold = await ending.stop(self._store, run, self._name, self.limits.lease, self.now())",
        """
        from durable_llm_streams.fold import Fold
        fold = None if run.status.ended else Fold()
        """,
    ),
    # A worker that accepts the same message again claims the run from its writer.
    Slip(
        "two-claims-for-a-message",
        "runs.worker:Worker.send",
        "self._reserved -= has_capacity",
        """
        self._reserved -= has_capacity
        if not (sent.created or sent.run.status.ended or self._executor.draining):
            claiming = self._store.runs.claim_run(sent.run.id, self._name, self.limits.lease)
            self._executor.start(await claiming)
        """,
    ),
    # A run claimed during shutdown is neither started nor released.
    Slip(
        "claimed-and-not-begun",
        "runs.worker:Worker._claim",
        "await self._guarded(self._store.runs.release(claims), None)",
        "pass",
    ),
)

IN_SERVER: Final = (
    # A client that comes back with a cursor is sent what comes after the next record.
    Slip(
        "cursor-skips-one",
        "server.answers:resume",
        "return answer_stream(state, principal, reader, page)",
        """
        rest = Page(page.first + 1, page.records[1:], page.next_seq, page.spans, page.status)
        return answer_stream(state, principal, reader, rest)
        """,
    ),
    # A client that comes back with a cursor is sent the record that it names once more.
    Slip(
        "cursor-repeats-one",
        "server.answers:resume",
        "return answer_stream(state, principal, reader, page)",
        """
        page = await state.store.log.read(cursor.run_id, max(0, cursor.seq - 1))
        return answer_stream(state, principal, reader, page)
        """,
    ),
    # A stream that a server's end cuts short says DONE like one that is complete.
    Slip(
        "done-without-end",
        "server.streams:RunStream._follow",
        """
        if reader.ended:
            await send({"type": "http.response.body", "body": DONE, "more_body": True})
        """,
        """
        if reader.ended or leaving:
            await send({"type": "http.response.body", "body": DONE, "more_body": True})
        """,
    ),
    # A 503 shows the store's path to visitors.
    Slip(
        "store-shown-to-visitors",
        "server.problems:from_error",
        'detail = "The store cannot be used at this moment. Nothing was lost; try again."',
        "detail = str(error)",
    ),
    # A stop looks for the run by its id alone, without the owner.
    Slip(
        "stop-for-anybody",
        "server.answers:stop",
        "state.store.runs.find(principal.owner, chat_id(request), run)",
        """
        state.store.operators.any_run(run) if run
        else state.store.runs.find(principal.owner, chat_id(request), run)
        """,
    ),
    # A hook's answer that is no principal is one user, whose chats are everybody's.
    Slip(
        "broken-hook-is-somebody",
        "server.authentication:identify",
        "raise HookFailed",
        'return Principal("nobody")',
    ),
    # A name may be empty, so all who have none share their chats.
    Slip("name-may-be-empty", "server.principal:owner_of", "not name.strip()", "False"),
)

IN_PROVIDERS: Final = (
    # The shortest secret is redacted first: the rest of a longer one stays in the log.
    Slip(
        "shortest-secret-first",
        "providers.failures.redactor:Redactor.__init__",
        "sorted(found, key=len, reverse=True)",
        "sorted(found, key=len)",
    ),
    # The provider's own words stand in the sentence that readers are shown.
    Slip(
        "provider-speaks",
        "providers.failures.model_errors:_error",
        "sentence = _sentence(meaning, found, wait, now)",
        'sentence = f"{_sentence(meaning, found, wait, now)} ({body})"',
    ),
    # A model that repeats what it continues is taken for one that does not.
    Slip(
        "prefill-repeats",
        "providers.openai_compatible:OpenAICompatible.stream",
        "Seam(prompt.prefill, echoes=echoes)",
        "Seam(prompt.prefill, echoes=False)",
    ),
)

SLIPS: Final = (*IN_LOGS, *IN_RUNS, *IN_SERVER, *IN_PROVIDERS)
