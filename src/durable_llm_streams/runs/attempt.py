"""One request to the model: the events of its source are written as they come.

1. Deltas take the fast path: the head of the open part, the text as JSON, the writer.
2. Timeouts measure the model's delay, not the store's: they pause while the store is waited for.
3. On the rung `continue` the first text is buffered until `continuation.Opening` has judged it.
   Reasoning and files that come meanwhile are buffered too. If the answer begins anew, they belong
   to it. In a continuation, reasoning is dropped: it would cut the text in two.
4. Text that turns out to be reasoning is taken back: the step is reset, and the text is read from
   the log and written again as reasoning. If it follows an earlier attempt's text, it stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf

from durable_llm_streams import chunks
from durable_llm_streams.errors import Fenced, ModelError
from durable_llm_streams.log import FULL, LogWriter
from durable_llm_streams.source import (
    Alive,
    Citation,
    Event,
    File,
    Finish,
    Job,
    LateThought,
    Prompt,
    ReasoningDelta,
    Source,
    TextDelta,
)

from .continuation import MAX_WAIT, Judged, Opening
from .idle_timeout import IdleTimeout
from .ladder import Step, skip
from .limits import Limits
from .parts import PartWriter

logger = logging.getLogger(__name__)

_Events = AsyncGenerator[Event, None]

_CLOSE_SECONDS = 5.0
_MAX_BUFFERED = 1_000_000  # characters of reasoning and addresses while a beginning is judged

_CUT = "The model's answer was cut off."
_UNFIT = "The model could not go on with its answer."
_NOT_BEGUN = "The model did not begin to answer in time. Try again later, or choose another model."
_THOUGHT = "The model took too long to think. Try again, or choose another model."
_STOPPED = "The model stopped answering."


class Stalled(ModelError):
    """The model timed out."""


class Attempt:
    """The execution of one step of the ladder.

    Args:
        step: how it begins.
        source: where the answer comes from.
        writer: where the records are written.
        parts: the message's parts, over that writer.
        limits: see `Limits`.
        log_job: writes a provider's job to the log; awaited before later events are written.
        read_text: reads the text of the step from the log.
    """

    def __init__(
        self,
        step: Step,
        *,
        source: Source,
        writer: LogWriter,
        parts: PartWriter,
        limits: Limits,
        log_job: Callable[[Job], Awaitable[None]],
        read_text: Callable[[], Awaitable[str]],
    ) -> None:
        self._step = step
        self._source = source
        self._writer = writer
        self._parts = parts
        self._limits = limits
        self._log_job = log_job
        self._read_text = read_text
        self._opening = Opening(step.text) if step.rung == "continue" else None
        self._is_whole = step.rung in ("first", "restart")  # all of the step is of this attempt
        self._buffer: list[ReasoningDelta | File | Citation] = []
        self._buffered = 0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, prompt: Prompt) -> Finish:
        """Send the request, and write what comes.

        Raises:
            ModelError: the attempt failed. `PartWriter.wrote`: whether it wrote anything.
        """
        limits = self._limits
        longest = inf if prompt.job is not None else max(limits.first_token, limits.thinking)
        idle = IdleTimeout(limits.first_token, longest)  # a job may be polled to its end
        try:
            async with _closing(self._source.stream(prompt)) as events, idle:
                return await self._read(events, idle)
        except TimeoutError:
            if idle.is_overdue:
                raise Stalled(_THOUGHT, meaning="slow", detail="thinking timed out") from None
            sentence = _STOPPED if self._parts.wrote else _NOT_BEGUN
            raise Stalled(sentence, meaning="slow", retryable=True, detail="timeout") from None
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _read(self, events: _Events, idle: IdleTimeout) -> Finish:
        limits, write, loop = self._limits, self._writer.write, asyncio.get_running_loop()
        pending_limit, encode, parts = FULL, chunks.encode, self._parts
        text_head: bytes | None = None
        reasoning_head: bytes | None = None
        await self._skip(events, idle)
        async for event in events:
            if isinstance(event, TextDelta) and self._opening is None:
                if text_head is None:
                    text_head, reasoning_head = parts.open("text"), None
                    idle.progressed(limits.next_token)
                    self._writer.hurry()  # with the delta that is written next
                write(text_head + encode(event.text) + b"}")
            elif isinstance(event, ReasoningDelta) and self._opening is None:
                if reasoning_head is None:
                    text_head, reasoning_head = None, parts.open("reasoning")
                    idle.progressed(limits.next_token)
                    self._writer.hurry()
                write(reasoning_head + encode(event.text) + b"}")
            elif isinstance(event, Alive):
                self._alive(event, idle)
                continue
            elif isinstance(event, Finish):
                if self._opening is not None:
                    self._apply(self._opening.end())
                return event
            else:
                text_head = reasoning_head = None
                await self._other(event, idle)
            idle.last = loop.time()
            if len(self._writer.pending) > pending_limit:
                idle.pause()
                await self._writer.drain()
                idle.resume()
        raise ModelError(_CUT, meaning="cut", retryable=True, detail="no finish")

    async def _skip(self, events: _Events, idle: IdleTimeout) -> None:
        new = await skip(events, self._step.since_mark, idle)
        if new is not None:
            self._parts.delta("text" if isinstance(new, TextDelta) else "reasoning", new.text)
            idle.progressed(self._limits.next_token)

    async def _other(self, event: Event, idle: IdleTimeout) -> None:
        """Handle an event that is not a delta of the open part."""
        if isinstance(event, Job):
            idle.pause()
            await self._log_job(event)
            idle.resume()
        elif isinstance(event, LateThought):
            idle.pause()
            await self._take_back()
            idle.progressed(self._limits.next_token)
        elif isinstance(event, TextDelta):
            idle.progressed(self._limits.next_token)
            self._add_to_opening(event.text)
        elif isinstance(event, ReasoningDelta | File | Citation):
            idle.progressed(self._limits.next_token)
            if self._opening is not None:
                self._add_to_buffer(event)
            elif not isinstance(event, ReasoningDelta):
                self._parts.whole(event)

    def _alive(self, event: Alive, idle: IdleTimeout) -> None:
        loop = asyncio.get_running_loop()
        if event.kind == "thinking" and idle.awaits_first:
            idle.extend(max(self._limits.first_token, self._limits.thinking))
        if event.kind == "chunk" or idle.awaits_first:
            idle.last = loop.time()

    async def _take_back(self) -> None:
        """Turn this attempt's text into reasoning: rule 4."""
        if self._opening is not None:
            self._opening = Opening(self._step.text)
        elif self._is_whole:
            await self._writer.drain()
            thought = await self._read_text()
            self._parts.reset()
            if thought:
                self._parts.delta("reasoning", thought)

    # --- the beginning of a continuation -----------------------------------------------------

    def _add_to_buffer(self, event: ReasoningDelta | File | Citation) -> None:
        self._buffered += len(event.text if isinstance(event, ReasoningDelta) else event.url)
        if self._buffered <= _MAX_BUFFERED:
            self._buffer.append(event)

    def _add_to_opening(self, text: str) -> None:
        assert self._opening is not None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(MAX_WAIT, self._opening_timed_out)
        judged = self._opening.add(text)
        if judged is not None:
            self._apply(judged)

    def _opening_timed_out(self) -> None:
        judged = self._opening.time_is_up() if self._opening is not None else None
        if judged is not None and judged.verdict != "unfit":  # the next delta raises then
            with suppress(Fenced):  # the next write raises it
                self._apply(judged)

    def _apply(self, judged: Judged) -> None:
        self._opening = None
        if judged.verdict == "unfit":
            raise ModelError(_UNFIT, refused_rung=True, detail="an unfit continuation")
        counts = {"held": judged.held, "dropped": judged.dropped}
        if judged.verdict == "joins":
            self._notice({"rung": "continue", **counts})
        else:
            about: dict[str, str | int] = {"asked": "continue", "repeated": self._step.repeated}
            self._notice({"rung": "restart", **about, **counts})
            self._parts.reset()
            self._is_whole = True
        for event in self._buffer:
            if not isinstance(event, ReasoningDelta):
                self._parts.whole(event)
            elif judged.verdict == "anew":
                self._parts.delta("reasoning", event.text)
        self._buffer.clear()
        if judged.text:
            self._parts.delta("text", judged.text)

    def _notice(self, values: dict[str, str | int]) -> None:
        self._writer.write(chunks.notice({"event": "judged", **values}))


@asynccontextmanager
async def _closing(events: _Events) -> AsyncIterator[_Events]:
    """Close a source's generator at the end. A failure to close it does not fail the attempt."""
    try:
        yield events
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await events.aclose()
        except Exception:
            logger.warning("A source could not be closed", exc_info=True)
