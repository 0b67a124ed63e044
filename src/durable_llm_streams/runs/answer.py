"""One claimed run: attempts, from where its log ends, until its terminal record is written.

Theory of operation
===================
1. The state is in the log alone. The text so far, the failures and the open parts are the fold of
   the log. So a takeover and a retry in the same process go on in the same way.
2. After a failure, `retry_policy` decides whether and on which rung the next attempt is made.
   Failures are counted in the log (`data-run` notices), takeovers by the store. Together they are
   limited by `Limits.attempts`.
3. The id of a provider's job is in the log before the first delta of it. A job is cancelled when
   its answer fails, or when the log may not have its id; never because this process ends.
4. The message has paid for the first request to the model. Each further one takes the reservation
   of the run again, before it is made; where that is refused, the answer fails. A job that goes on
   is no further request.
5. Only the end of the run writes the terminal record, in one step with status and history. A
   cancelled task flushes and returns. The caller that cancelled it decides what happens to the run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from durable_llm_streams import chunks
from durable_llm_streams.errors import (
    Fenced,
    LimitReached,
    ModelError,
    ShuttingDown,
)
from durable_llm_streams.fold import Fold
from durable_llm_streams.log import Flusher, LogWriter, read_all
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.source import Finish, Job, Prompt, Source, Turn
from durable_llm_streams.store import Store

from . import ending, model_context
from .attempt import Attempt
from .continuation import request
from .idle_timeout import cancelled
from .jobs import Jobs
from .ladder import Step
from .limits import Limits
from .model_context import Context
from .parts import PartWriter
from .retry_policy import RetryPolicy
from .store_retry import retried

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 2.0

_TOO_LONG = "The answer took too long and was ended. Try again, perhaps with a shorter question."
_FAILED = "The model provider had a problem. Try again."
_BROKEN = "Something went wrong on the server. Try again."


class Answer:
    """The execution of one claim.

    Args:
        claim: the claim.
        store: where the log is.
        flusher: the process's group commit.
        source: where the answer comes from.
        jobs: cancels the provider's jobs of answers that fail.
        may_begin: whether this process still begins attempts.
        system: the system prompt, or "".
        limits: see `Limits`.
        now: the wall clock, in milliseconds.
        rng: for the jitter of backoff.
    """

    def __init__(
        self,
        claim: Claim,
        *,
        store: Store,
        flusher: Flusher,
        source: Source,
        jobs: Jobs,
        may_begin: Callable[[], bool],
        system: str,
        limits: Limits,
        now: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self.claim = claim
        self._run: Run = claim.run
        self._store = store
        self._writer: LogWriter = flusher.writer(claim)
        self._source = source
        self._jobs = jobs
        self._may_begin = may_begin
        self._policy = RetryPolicy(source, claim.run.model, jobs, limits)
        self._system = system
        self._limits = limits
        self._now = now
        self._rng = rng
        self._failures = 0
        self._is_paid = claim.epoch.number == 1  # by the message
        self._parts = PartWriter(self._writer.write, now)
        self._unlogged_job: Job | None = None  # its id may not be in the log

    async def execute(self) -> None:
        """Write the answer.

        Raises:
            Fenced: the claim is lost; another worker has the run, or it has ended.
            RunNotFound: the run was deleted.
            StoreUnavailable: the run is unchanged; when its lease runs out it is claimed again.
            ShuttingDown: another attempt is needed, and this process begins none. The text so far
                is in the log.
        """
        try:
            await self._answer()
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._writer.drain()
                    self._unlogged_job = None
            raise
        finally:
            if self._unlogged_job is not None:
                self._jobs.abandon(self._unlogged_job)

    async def _answer(self) -> None:
        is_new = self.claim.next_seq == 1  # nothing was ever written
        fold = Fold() if is_new else await self._read()
        if fold.job is not None and self._jobs.supported:
            self._policy.job = Job(*fold.job)
        attempt, step = self._attempt(fold), self._policy.choose(fold)
        sent = await self._context(fold)
        if not fold.message_id:
            for record in ending.opening(self._run, sent.metadata()):
                self._writer.write(record)
        elif self._run.epoch.number > 1:
            about = step.notice() if attempt <= self._limits.attempts else {}
            self._notice({"event": "takeover", "attempt": attempt, **about})
        # If the clock was set back since then, the run must not get more time.
        passed = max(0, self._now() - (self._run.started_at or 0))
        left = self._limits.whole_run - passed / 1000
        if left <= 0:
            return await self._fail(_TOO_LONG)
        whole = asyncio.timeout(left)
        try:
            async with whole:
                await self._try_until_done(fold, step, sent.turns)
        except TimeoutError:
            if not whole.expired():
                raise
            await self._fail(_TOO_LONG)

    async def _read(self) -> Fold:
        """The fold of the log so far.

        Raises:
            Fenced: the run is not being written.
        """
        log, page = await read_all(self._store.log, self._run.id)
        if page.status is not Status.RUNNING:
            raise Fenced("This run is no longer being written.")
        return Fold.of(log)

    def _attempt(self, fold: Fold) -> int:
        self._failures = self._run.takeovers + fold.retries
        return self._failures + 1

    def _notice(self, values: dict[str, Any]) -> None:
        self._writer.write(chunks.notice(values))

    async def _context(self, fold: Fold) -> Context:
        thread = await self._store.chats.thread(self._run.id)
        if fold.message_id:
            return model_context.repeat(self._system, thread, fold.metadata)
        return model_context.choose(self._system, thread, self._limits.context_tokens)

    async def _try_until_done(self, fold: Fold, step: Step, turns: Sequence[Turn]) -> None:
        failure: ModelError | None = None
        while True:
            attempt = self._attempt(fold)
            if attempt > self._limits.attempts:
                return await self._give_up(failure)
            try:
                await self._reserve(step)
                return await self._finish(await self._ask(fold, step, turns))
            except LimitReached as refusal:
                sentence = f"The answer could not go on. {refusal}"
                # What the last attempt spent is in its notice: it is not counted twice.
                return await self._fail(sentence, more={"reason": "budget"})
            except ModelError as error:
                failure = error
            except TimeoutError as error:  # of the source
                failure = ModelError(_FAILED, retryable=True, detail=f"timeout: {error}")
            if cancelled():
                raise asyncio.CancelledError  # which the source turned into a failure
            logger.warning(
                "Run %s, attempt %d: %s %s", self._run.id, attempt, failure, failure.detail
            )
            wrote = self._parts.wrote
            refused = await self._policy.record_failure(step, attempt, failure, wrote=wrote)
            if not refused and not self._policy.is_retryable(failure):
                return await self._fail(str(failure), failure)
            if attempt >= self._limits.attempts and not refused:
                return await self._give_up(failure)
            await self._writer.drain()
            step = self._policy.choose(await self._read())
            if refused:  # this costs no attempt
                self._notice({"event": "rung", **step.notice(), **_spent(failure)})
            else:
                await self._back_off(attempt, failure, step)
            fold = await self._read()

    async def _ask(self, fold: Fold, step: Step, turns: Sequence[Turn]) -> Finish:
        """Make one attempt."""
        if not self._may_begin():
            await self._writer.drain()
            raise ShuttingDown("This process begins no more attempts.")
        known = {part["url"] for part in fold.step_parts if step.job and "url" in part}
        self._parts.begin(len(fold.parts), step.part, known)
        if step.resets:
            self._parts.reset()
        continues = step.rung == "continue"
        prompt = Prompt(
            model=self._run.model,
            turns=[*turns, *request(step.text)] if continues else turns,
            prefill="" if continues else step.text,
            continues=continues,
            job=step.job,
            before_mark=step.before_mark,
            since_mark=step.since_mark,
        )
        attempt = Attempt(
            step,
            source=self._source,
            writer=self._writer,
            parts=self._parts,
            limits=self._limits,
            log_job=self._log_job,
            read_text=self._read_text,
        )
        return await attempt.run(prompt)

    async def _reserve(self, step: Step) -> None:
        """Take the run's reservation for a further request. Raises LimitReached."""
        is_paid, self._is_paid = self._is_paid, False
        if is_paid or step.job is not None or not self._run.charges or not self._may_begin():
            return
        times = self._run.reservations + 1
        reserve = self._store.runs.reserve
        self._run = await retried(lambda: reserve(self.claim, times), self._run.id, self._rng)

    async def _read_text(self) -> str:
        """The text of the step in the log."""
        texts = (part["text"] for part in (await self._read()).step_parts if part["type"] == "text")
        return "".join(texts)

    async def _log_job(self, job: Job) -> None:
        """Write to the log which job produces the answer, and its mark at this place."""
        is_new = self._policy.job is None or self._policy.job.id != job.id
        self._policy.job = job
        self._notice({"event": "job", "job": job.id, "mark": job.mark})
        if is_new:
            self._unlogged_job = job
            await self._writer.drain()
            self._unlogged_job = None

    async def _back_off(self, attempt: int, failure: ModelError, step: Step) -> None:
        """Announce the retry to readers, and wait."""
        delay = self._limits.delay(attempt, failure.retry_after, self._rng)
        self._notice(
            {
                "event": "retry",
                "attempt": attempt + 1,
                "attempts": self._limits.attempts,
                "delay": round(delay, 3),
                "reason": str(failure),
                **step.notice(),
                **_spent(failure),
            }
        )
        await self._writer.drain()
        await asyncio.sleep(delay)

    async def _finish(self, event: Finish) -> None:
        about = {"model": self._run.model, **event.metadata, **self._about()}
        about["finishReason"] = event.reason
        await self._end(Status.FINISHED, ending.finished(event.reason, about))
        if self._policy.job is not None:
            self._jobs.delete([self._policy.job])

    async def _give_up(self, failure: ModelError | None) -> None:
        reason = str(failure) if failure else "The server was interrupted each time."
        times = self._limits.attempts
        sentence = f"The answer could not be completed in {times} attempts. {reason}"
        await self._fail(sentence, failure)

    async def _fail(
        self,
        sentence: str,
        failure: ModelError | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        about = {**_spent(failure), **self._about(), **(more or {})}
        await self._end(Status.FAILED, ending.failed(sentence, about))
        if self._policy.job is not None:
            self._jobs.abandon(self._policy.job)

    async def fail_unexpectedly(self) -> None:
        """End the run after an unexpected error, with a sentence that reveals nothing of it."""
        await self._fail(_BROKEN)

    async def _end(self, status: Status, last: ending.Last) -> None:
        await self._writer.drain()

        async def end() -> None:
            await ending.end(
                self._store.log,
                self._run,
                self.claim.epoch,
                status,
                last,
                self._now(),
                at=self._writer.next_seq,
            )

        await retried(end, self._run.id, self._rng)

    def _about(self) -> dict[str, Any]:
        """Metadata of the message: how the answer was made."""
        timing = {"totalMs": max(0, self._now() - self._run.created_at)}
        if self._parts.first_at is not None:
            timing["firstTokenMs"] = max(0, self._parts.first_at - self._run.created_at)
        return {"timing": timing, "attempts": min(self._failures + 1, self._limits.attempts)}


def _spent(failure: ModelError | None) -> dict[str, Any]:
    """The usage and cost of a failed attempt, as far as known."""
    metadata = failure.metadata if failure is not None else {}
    return {name: metadata[name] for name in ("usage", "cost") if name in metadata}
