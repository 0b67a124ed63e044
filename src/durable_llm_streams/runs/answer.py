"""One claimed run, from where its log ends to its terminal record.

Theory of operation
===================
1. The log is the only memory. What was said, how often it failed, which parts are open: all of it
   is the fold of the log, so that a worker that takes over and one that tries again do the same.
2. After a failure the next attempt takes the best rung of the ladder that is possible; see
   `ladder`. A rung that is refused costs no attempt. One that adds nothing twice is left.
3. Failures are counted in the log (`data-run` notices) and by the store (takeovers). Together they
   are the budget. What will come again is not asked for again: neither a failure that is not
   `retryable`, nor a second time limit in a row without anything new.
4. The id of a job at the provider is in the log before the first delta of it. A job is ended when
   its answer is given up, and when nobody could know of it; never because this process ends.
5. Only the end of the run writes the terminal record, in one step with status and history. A
   cancelled task flushes and leaves; whoever cancelled it knows what becomes of the run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from durable_llm_streams import chunks
from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import Fenced, ModelError, ShuttingDown, StoreUnavailable
from durable_llm_streams.fold import Fold
from durable_llm_streams.log import Flusher, LogWriter, read_all
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.source import ContinuingSource, Finish, Job, Prompt, Source, Turn
from durable_llm_streams.store import Store

from . import ending
from .attempt import Attempt, Stalled
from .continuation import Mode, request
from .idle_timeout import cancelled
from .jobs import Jobs
from .ladder import Diverged, Step, choose
from .limits import Limits
from .parts import PartWriter

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 2.0
_FRUITLESS = 2  # such attempts are enough: the next one takes another rung
_STALLS = 2
_STORE_RETRY = Backoff(0.1, 2.0)
_STORE_TRIES = 9

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
        jobs: ends the jobs that are given up.
        begins: asked before each attempt whether this process begins one any more.
        system: the system prompt, or "".
        limits: see `Limits`.
        now: the wall clock, in milliseconds.
        rng: for the jitter between attempts.
    """

    def __init__(
        self,
        claim: Claim,
        *,
        store: Store,
        flusher: Flusher,
        source: Source,
        jobs: Jobs,
        begins: Callable[[], bool],
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
        self._begins = begins
        self._prefill = source.can_prefill(claim.run.model)
        self._continues = _continues(source, claim.run.model, limits.continues)
        self._system = system
        self._limits = limits
        self._now = now
        self._rng = rng
        self._failures = 0
        self._parts = PartWriter(self._writer.write, now)
        self._fruitless = 0  # attempts in a row that went on from a text and added nothing to it
        self._stalls = 0  # attempts in a row that ran into a time limit and brought nothing new
        self._job: Job | None = None  # that makes the answer, and can be listened to again
        self._untold: Job | None = None  # the same while the log may not know of it

    async def execute(self) -> None:
        """Write the answer.

        Raises:
            Fenced: the claim is lost; another worker has the run, or it has ended.
            RunNotFound: the run is gone.
            StoreUnavailable: the run is left as it is; when its lease runs out it is claimed again.
            ShuttingDown: another attempt is needed, which this process does not begin; what was
                said is in the log.
        """
        try:
            await self._answer()
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._writer.drain()
                    self._untold = None
            raise
        finally:
            if self._untold is not None:
                self._jobs.abandon(self._untold)

    async def _answer(self) -> None:
        is_new = self.claim.next_seq == 1  # nothing was ever written
        fold = Fold() if is_new else await self._read()
        self._job = Job(*fold.job) if fold.job is not None and self._jobs.kept else None
        attempt, step = self._attempt(fold), self._choose(fold)
        if not fold.message_id:
            for record in ending.opening(self._run):
                self._writer.write(record)
        elif self._run.epoch.number > 1:
            about = step.notice() if attempt <= self._limits.attempts else {}
            self._notice({"event": "takeover", "attempt": attempt, **about})
        turns = await self._turns()
        # A clock that was set back since then must not give a run years.
        passed = max(0, self._now() - (self._run.started_at or 0))
        left = self._limits.whole_run - passed / 1000
        if left <= 0:
            return await self._fail(_TOO_LONG)
        whole = asyncio.timeout(left)
        try:
            async with whole:
                await self._try_until_done(fold, step, turns)
        except TimeoutError:
            if not whole.expired():
                raise
            await self._fail(_TOO_LONG)

    async def _read(self) -> Fold:
        """What the log has told so far.

        Raises:
            Fenced: nobody writes it any more.
        """
        log, page = await read_all(self._store.log, self._run.id)
        if page.status is not Status.RUNNING:
            raise Fenced("This run is no longer being written.")
        return Fold.of(log)

    def _attempt(self, fold: Fold) -> int:
        self._failures = self._run.takeovers + fold.retries
        return self._failures + 1

    def _choose(self, fold: Fold) -> Step:
        return choose(
            fold,
            reattach=self._job is not None,
            prefill=self._prefill,
            continues=self._continues,
        )

    def _notice(self, values: dict[str, Any]) -> None:
        self._writer.write(chunks.notice(values))

    async def _turns(self) -> list[Turn]:
        turns = [Turn("system", self._system)] if self._system else []
        for message in await self._store.chats.thread(self._run.id):
            if message.body:
                text = "".join(
                    part["text"]
                    for part in chunks.decode(message.body)["parts"]
                    if part["type"] == "text"
                )
                if text:
                    turns.append(Turn("user" if message.role == "user" else "assistant", text))
        return turns

    async def _try_until_done(self, fold: Fold, step: Step, turns: list[Turn]) -> None:
        failure: ModelError | None = None
        while True:
            attempt = self._attempt(fold)
            if attempt > self._limits.attempts:
                return await self._give_up(failure)
            try:
                return await self._finish(await self._take(fold, step, turns))
            except ModelError as error:
                failure = error
            except TimeoutError as error:  # the source's own
                failure = ModelError(_FAILED, retryable=True, detail=f"time limit: {error}")
            if cancelled():
                raise asyncio.CancelledError  # the source made a failure of it
            logger.warning(
                "Run %s, attempt %d: %s %s", self._run.id, attempt, failure, failure.detail
            )
            refused = await self._refuses(step, attempt, failure)
            if not refused and not self._is_worth_trying(failure):
                return await self._fail(str(failure), failure)
            if attempt >= self._limits.attempts and not refused:
                return await self._give_up(failure)
            await self._writer.drain()
            step = self._choose(await self._read())
            if refused:  # the rung: this costs no attempt
                self._notice({"event": "rung", **step.notice(), **_spent(failure)})
            else:
                await self._pause(attempt, failure, step)
            fold = await self._read()

    def _is_worth_trying(self, failure: ModelError) -> bool:
        wait = failure.retry_after or 0.0
        return failure.retryable and wait <= self._limits.longest_wait and self._stalls < _STALLS

    async def _refuses(self, step: Step, attempt: int, failure: ModelError) -> bool:
        """Whether it was only the way to go on that failed. What is no use is not tried again."""
        spoke = self._parts.spoke
        goes_on = step.rung in ("reattach", "prefill", "continue")
        has_stalled = isinstance(failure, Stalled) and not (goes_on and spoke)
        self._stalls = self._stalls + 1 if has_stalled else 0
        await self._judge_job(step, attempt, failure)
        if step.rung not in ("prefill", "continue"):
            return step.job is not None and self._job is None and not spoke
        self._fruitless = 0 if spoke else self._fruitless + 1
        refused = failure.refused_rung and not spoke
        is_last_chance = self._fruitless and attempt + 1 >= self._limits.attempts
        if refused or is_last_chance or self._fruitless >= _FRUITLESS:
            self._fruitless = 0
            if step.rung == "prefill":
                self._prefill = False
            else:
                self._continues = "off"
        return refused

    async def _judge_job(self, step: Step, attempt: int, failure: ModelError) -> None:
        """Whether the job can be listened to after this failure; if not, it is ended."""
        if self._job is None:
            return
        fruitless = step.job is not None and not self._parts.spoke
        last = attempt + 1 >= self._limits.attempts  # which shall be asked of the model
        if failure.job_over:
            self._job = None
        elif isinstance(failure, Diverged) or (
            fruitless and (last or isinstance(failure, Stalled))
        ):
            await self._jobs.end(self._job)
            self._job = None

    async def _take(self, fold: Fold, step: Step, turns: list[Turn]) -> Finish:
        """One attempt, on the rung that was chosen."""
        if not self._begins():
            await self._writer.drain()
            raise ShuttingDown("This process begins no attempt any more.")
        known = {part["url"] for part in fold.step_parts if step.job and "url" in part}
        self._parts.begin(len(fold.parts), step.part, known)
        if step.resets:
            self._parts.reset()
        continues = step.rung == "continue"
        prompt = Prompt(
            model=self._run.model,
            turns=[*turns, *request(step.said)] if continues else turns,
            prefill="" if continues else step.said,
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
            keep=self._keep,
            said=self._said,
        )
        return await attempt.run(prompt)

    async def _said(self) -> str:
        """The text of the step, as the log has it."""
        texts = (part["text"] for part in (await self._read()).step_parts if part["type"] == "text")
        return "".join(texts)

    async def _keep(self, job: Job) -> None:
        """Tell in the log which job says this, and how far the log has it."""
        is_new = self._job is None or self._job.id != job.id
        self._job = job
        self._notice({"event": "job", "job": job.id, "mark": job.mark})
        if is_new:
            self._untold = job
            await self._writer.drain()
            self._untold = None

    async def _pause(self, attempt: int, failure: ModelError, step: Step) -> None:
        """Tell the readers that it is tried again, and wait."""
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

    async def _give_up(self, failure: ModelError | None) -> None:
        reason = str(failure) if failure else "The server was interrupted each time."
        times = self._limits.attempts
        sentence = f"The answer could not be completed in {times} attempts. {reason}"
        await self._fail(sentence, failure)

    async def _fail(self, sentence: str, failure: ModelError | None = None) -> None:
        about = {**_spent(failure), **self._about()}
        await self._end(Status.FAILED, ending.failed(sentence, about))
        if self._job is not None:
            self._jobs.abandon(self._job)

    async def fail_unexpectedly(self) -> None:
        """End the run after an error of our own, with a sentence that tells nothing of it."""
        await self._fail(_BROKEN)

    async def _end(self, status: Status, last: ending.Last) -> None:
        await self._writer.drain()
        for failures in range(1, _STORE_TRIES + 1):
            try:
                await ending.end(
                    self._store.log,
                    self._run,
                    self.claim.epoch,
                    status,
                    last,
                    self._now(),
                    at=self._writer.next_seq,
                )
            except StoreUnavailable as error:
                if failures == _STORE_TRIES:
                    raise
                logger.warning("Run %s: %s", self._run.id, error)
                await asyncio.sleep(_STORE_RETRY.delay(failures, self._rng.random))
            else:
                return

    def _about(self) -> dict[str, Any]:
        """What the message's metadata says of the making of the answer."""
        timing = {"totalMs": max(0, self._now() - self._run.created_at)}
        if self._parts.first_at is not None:
            timing["firstTokenMs"] = max(0, self._parts.first_at - self._run.created_at)
        return {"timing": timing, "attempts": min(self._failures + 1, self._limits.attempts)}


def _spent(failure: ModelError | None) -> dict[str, Any]:
    """What is known of the cost of a failed attempt."""
    metadata = failure.metadata if failure is not None else {}
    return {name: metadata[name] for name in ("usage", "cost") if name in metadata}


def _continues(source: Source, model: str, mode: Mode) -> Mode:
    able = isinstance(source, ContinuingSource) and source.can_continue(model)
    return mode if able else "off"
