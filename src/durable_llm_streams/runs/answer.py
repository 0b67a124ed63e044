"""One claimed run, from where its log ends to its terminal record.

Theory of operation
===================
1. The log is the only memory. What was said, how often it failed, which parts are open: all of it
   is the fold of the log, so that a worker that takes over and one that tries again do the same.
2. After a failure the next attempt takes the best rung of the ladder: `prefill` hands the text that
   was said to the model, which goes on in the same part; `restart` begins the step again behind a
   `reset-step`, which takes the failed text from every reader's message. An attempt that said
   nothing needs no rung.
3. Failures are counted in the log (`data-run` notices) and by the store (takeovers). Together they
   are the budget.
4. Only the end of the run writes the terminal record, in one step with status and history. A
   cancelled task flushes and leaves; whoever cancelled it knows what becomes of the run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from durable_llm_streams import chunks
from durable_llm_streams.errors import Fenced, ModelError, StoreUnavailable
from durable_llm_streams.fold import Fold
from durable_llm_streams.log import FULL, Flusher, LogWriter, read_all
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.store import Store

from . import endings
from .limits import Limits
from .patience import Patience, cancelled
from .source import Event, Finish, Prompt, ReasoningDelta, Source, TextDelta, Turn

logger = logging.getLogger(__name__)

_Events = AsyncGenerator[Event, None]

_FLUSH_SECONDS = 2.0
_CLOSE_SECONDS = 5.0
_STORE_RETRIES = (0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)

_STALLED = "The model stopped answering."
_CUT = "The model's answer was cut off."
_TOO_LONG = "The answer took too long and was ended. Try again, perhaps with a shorter question."
_BROKEN = "Something went wrong on the server. Try again."


class Answer:
    """The execution of one claim.

    Args:
        claim: the claim.
        store: where the log is.
        flusher: the process's group commit.
        source: where the answer comes from.
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
        self._system = system
        self._limits = limits
        self._now = now
        self._rng = rng
        self._failures = 0
        self._first_token_at: int | None = None
        self._kind = ""  # of the open part, "" for none
        self._part = ""
        self._parts = 0

    async def execute(self) -> None:
        """Write the answer.

        Raises:
            Fenced: the claim is lost; another worker has the run, or it has ended.
            RunNotFound: the run is gone.
            StoreUnavailable: the run is left as it is; when its lease runs out it is claimed again.
        """
        try:
            await self._answer()
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._writer.drain()
            raise

    async def _answer(self) -> None:
        fold = await self._read()
        if not fold.message_id:
            for record in endings.opening(self._run):
                self._writer.write(record)
        elif self._run.epoch.number > 1:
            self._writer.write(chunks.notice({"event": "takeover", "attempt": self._attempt(fold)}))
        turns = await self._turns()
        left = self._limits.whole_run - (self._now() - (self._run.started_at or 0)) / 1000
        if left <= 0:
            return await self._fail(_TOO_LONG)
        whole = asyncio.timeout(left)
        try:
            async with whole:
                await self._try_until_done(fold, turns)
        except TimeoutError:
            if not whole.expired():
                raise
            await self._fail(_TOO_LONG)

    async def _read(self) -> Fold:
        """What the log has told so far.

        Raises:
            Fenced: nobody writes it any more.
        """
        log, page = await read_all(self._store, self._run.id)
        if page.status is not Status.RUNNING:
            raise Fenced("This run is no longer being written.")
        return Fold.of(log)

    def _attempt(self, fold: Fold) -> int:
        self._failures = self._run.takeovers + fold.retries
        return self._failures + 1

    async def _turns(self) -> list[Turn]:
        turns = [Turn("system", self._system)] if self._system else []
        for message in await self._store.thread(self._run.id):
            if message.body:
                text = "".join(
                    part["text"]
                    for part in chunks.decode(message.body)["parts"]
                    if part["type"] == "text"
                )
                if text:
                    turns.append(Turn("user" if message.role == "user" else "assistant", text))
        return turns

    async def _try_until_done(self, fold: Fold, turns: list[Turn]) -> None:
        prefill = self._source.can_prefill(self._run.model)
        failure: ModelError | None = None
        while True:
            attempt = self._attempt(fold)
            if attempt > self._limits.attempts:
                return await self._give_up(failure)
            said = self._take_rung(fold, prefill=prefill)
            prompt = Prompt(model=self._run.model, turns=turns, said=said)
            try:
                return await self._finish(await self._stream(prompt))
            except ModelError as error:
                failure = error
            except TimeoutError:
                failure = ModelError(_STALLED, retryable=True, detail="time limit")
            if cancelled():
                raise asyncio.CancelledError  # the source made a failure of it
            logger.warning(
                "Run %s, attempt %d: %s %s", self._run.id, attempt, failure, failure.detail
            )
            if failure.refused_prefill:
                prefill = False
            elif not failure.retryable:
                return await self._fail(str(failure))
            if attempt >= self._limits.attempts:
                return await self._give_up(failure)
            await self._pause(attempt, failure)
            fold = await self._read()

    def _take_rung(self, fold: Fold, *, prefill: bool) -> str:
        """Prepare the log for the next attempt. Returns the text that the model goes on from."""
        self._parts = len(fold.parts)
        self._kind = self._part = ""
        if not fold.step_parts:
            return ""
        kinds = {part["type"] for part in fold.step_parts}
        open_kinds = {kind for kind, _ in fold.open_parts}
        said = "".join(part["text"] for part in fold.step_parts if part["type"] == "text")
        if prefill and said and kinds <= {"text", "reasoning"} and open_kinds <= {"text"}:
            if fold.open_parts:
                self._kind, self._part = fold.open_parts[-1]
            return said
        self._writer.write(chunks.RESET_STEP)
        return ""

    async def _stream(self, prompt: Prompt) -> Finish:
        limits, write, loop = self._limits, self._writer.write, asyncio.get_running_loop()
        pending_limit, encode = FULL, chunks.encode
        text_head: bytes | None = None
        reasoning_head: bytes | None = None
        async with (
            _closing(self._source.stream(prompt)) as events,
            Patience(limits.first_token) as patience,
        ):
            async for event in events:
                if isinstance(event, TextDelta):
                    if text_head is None:
                        text_head, reasoning_head = self._open("text"), None
                        patience.happened(limits.next_token)
                    write(text_head + encode(event.text) + b"}")
                elif isinstance(event, ReasoningDelta):
                    if reasoning_head is None:
                        text_head, reasoning_head = None, self._open("reasoning")
                        patience.happened(limits.next_token)
                    write(reasoning_head + encode(event.text) + b"}")
                else:
                    return event
                patience.last = loop.time()
                if len(self._writer.pending) > pending_limit:
                    patience.pause()  # the store's delay is not the model's
                    await self._writer.drain()
                    patience.happened(limits.next_token)
        raise ModelError(_CUT, retryable=True, detail="no finish")

    def _open(self, kind: str) -> bytes:
        """Have a part of this kind open. Returns what its deltas begin with."""
        if kind == self._kind:  # the attempt goes on in the part of the one before
            return chunks.delta_prefix(kind, self._part)
        if self._first_token_at is None:
            self._first_token_at = self._now()
        if self._kind:
            self._writer.write(chunks.part_end(self._kind, self._part))
        self._parts += 1
        self._kind, self._part = kind, f"p{self._parts}"
        self._writer.write(chunks.part_start(kind, self._part))
        return chunks.delta_prefix(kind, self._part)

    async def _pause(self, attempt: int, failure: ModelError) -> None:
        """Tell the readers that it is tried again, and wait."""
        delay = self._limits.delay(attempt, failure.retry_after, self._rng)
        if failure.refused_prefill:
            delay = 0.0
        self._writer.write(
            chunks.notice(
                {
                    "event": "retry",
                    "attempt": attempt + 1,
                    "attempts": self._limits.attempts,
                    "delay": round(delay, 3),
                    "reason": str(failure),
                }
            )
        )
        await self._writer.drain()
        await asyncio.sleep(delay)

    async def _finish(self, event: Finish) -> None:
        about = {"model": self._run.model, **event.metadata, **self._about()}
        await self._end(Status.FINISHED, endings.finished(event.reason, about))

    async def _give_up(self, failure: ModelError | None) -> None:
        reason = str(failure) if failure else "The server was interrupted each time."
        times = self._limits.attempts
        await self._fail(f"The answer could not be completed in {times} attempts. {reason}")

    async def _fail(self, sentence: str) -> None:
        await self._end(Status.FAILED, endings.failed(sentence, self._about()))

    async def fail_unexpectedly(self) -> None:
        """End the run after an error of our own, with a sentence that tells nothing of it."""
        await self._fail(_BROKEN)

    async def _end(self, status: Status, last: endings.Last) -> None:
        await self._writer.drain()
        for delay in (*_STORE_RETRIES, None):
            try:
                await endings.end(
                    self._store, self._run, self.claim.epoch, status, last, self._now()
                )
            except StoreUnavailable as error:
                if delay is None:
                    raise
                logger.warning("Run %s: %s", self._run.id, error)
                await asyncio.sleep(delay)
            else:
                return

    def _about(self) -> dict[str, Any]:
        """What the message's metadata says of the making of the answer."""
        timing = {"totalMs": max(0, self._now() - self._run.created_at)}
        if self._first_token_at is not None:
            timing["firstTokenMs"] = max(0, self._first_token_at - self._run.created_at)
        return {"timing": timing, "attempts": min(self._failures + 1, self._limits.attempts)}


@asynccontextmanager
async def _closing(events: _Events) -> AsyncIterator[_Events]:
    """Close a source's generator at the end, whatever it does then: the answer is what it said."""
    try:
        yield events
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await events.aclose()
        except Exception:
            logger.warning("A source could not be closed in order", exc_info=True)
