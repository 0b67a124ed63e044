"""One request to the model: what its source yields is written as it comes.

1. Deltas take the short way: the head of the open part, the text as JSON, the writer.
2. A time limit is a model's delay, never the store's: it is paused while the store is waited for.
3. On the rung `continue` the first text is held back until `continuation.Opening` has judged it.
   What comes beside it meanwhile (reasoning, files) waits too: it belongs to an answer that begins
   anew, and reasoning of a continuation would cut the text in two.
4. Text that turns out to be a thought is taken back: the step is reset, and the text is read from
   the log and written again as reasoning. Behind an earlier attempt's text it stays.
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
_MAX_ASIDE = 1_000_000  # characters of reasoning kept while a beginning is judged

_CUT = "The model's answer was cut off."
_UNFIT = "The model could not go on with its answer."
_NOT_BEGUN = "The model did not begin to answer in time. Try again later, or choose another model."
_THOUGHT = "The model took too long to think. Try again, or choose another model."
_STOPPED = "The model stopped answering."


class Stalled(ModelError):
    """Nothing came for too long."""


class Attempt:
    """The execution of one step of the ladder.

    Args:
        step: how it begins.
        source: where the answer comes from.
        writer: where the records go.
        parts: the message's parts, over that writer.
        limits: see `Limits`.
        keep: records a job of the provider; awaited before anything that follows it is written.
        said: reads the text of the step from the log.
    """

    def __init__(
        self,
        step: Step,
        *,
        source: Source,
        writer: LogWriter,
        parts: PartWriter,
        limits: Limits,
        keep: Callable[[Job], Awaitable[None]],
        said: Callable[[], Awaitable[str]],
    ) -> None:
        self._step = step
        self._source = source
        self._writer = writer
        self._parts = parts
        self._limits = limits
        self._keep = keep
        self._said = said
        self._opening = Opening(step.said) if step.rung == "continue" else None
        self._is_whole = step.rung in ("first", "restart")  # whether the step is this attempt's
        self._aside: list[ReasoningDelta | File | Citation] = []
        self._aside_size = 0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, prompt: Prompt) -> Finish:
        """Ask, and write what comes.

        Raises:
            ModelError: the attempt failed. `PartWriter.spoke` says whether it wrote anything.
        """
        limits = self._limits
        longest = inf if prompt.job is not None else max(limits.first_token, limits.thinking)
        idle = IdleTimeout(limits.first_token, longest)  # a job may be polled to its end
        try:
            async with _closing(self._source.stream(prompt)) as events, idle:
                return await self._read(events, idle)
        except TimeoutError:
            if idle.is_overdue:
                raise Stalled(_THOUGHT, meaning="slow", detail="time limit to think") from None
            begun = self._parts.spoke
            sentence = _STOPPED if begun else _NOT_BEGUN
            raise Stalled(sentence, meaning="slow", retryable=True, detail="time limit") from None
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
                    idle.happened(limits.next_token)
                write(text_head + encode(event.text) + b"}")
            elif isinstance(event, ReasoningDelta) and self._opening is None:
                if reasoning_head is None:
                    text_head, reasoning_head = None, parts.open("reasoning")
                    idle.happened(limits.next_token)
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
            idle.happened(self._limits.next_token)

    async def _other(self, event: Event, idle: IdleTimeout) -> None:
        """What is no delta of the open part."""
        if isinstance(event, Job):
            idle.pause()
            await self._keep(event)
            idle.resume()
        elif isinstance(event, LateThought):
            idle.pause()
            await self._take_back()
            idle.happened(self._limits.next_token)
        elif isinstance(event, TextDelta):
            idle.happened(self._limits.next_token)
            self._hold(event.text)
        elif isinstance(event, ReasoningDelta | File | Citation):
            idle.happened(self._limits.next_token)
            if self._opening is not None:
                self._put_aside(event)
            elif not isinstance(event, ReasoningDelta):
                self._parts.whole(event)

    def _alive(self, event: Alive, idle: IdleTimeout) -> None:
        loop = asyncio.get_running_loop()
        if event.kind == "thinking" and idle.awaits_first:
            idle.extend(max(self._limits.first_token, self._limits.thinking))
        if event.kind == "chunk" or idle.awaits_first:
            idle.last = loop.time()

    async def _take_back(self) -> None:
        """Make reasoning of this attempt's text: rule 4."""
        if self._opening is not None:
            self._opening = Opening(self._step.said)
        elif self._is_whole:
            await self._writer.drain()
            thought = await self._said()
            self._parts.reset()
            if thought:
                self._parts.delta("reasoning", thought)

    # --- the beginning of a continuation -----------------------------------------------------

    def _put_aside(self, event: ReasoningDelta | File | Citation) -> None:
        self._aside_size += len(event.text if isinstance(event, ReasoningDelta) else event.url)
        if self._aside_size <= _MAX_ASIDE:
            self._aside.append(event)

    def _hold(self, text: str) -> None:
        assert self._opening is not None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(MAX_WAIT, self._time_is_up)
        judged = self._opening.add(text)
        if judged is not None:
            self._apply(judged)

    def _time_is_up(self) -> None:
        judged = self._opening.time_is_up() if self._opening is not None else None
        if judged is not None and judged.verdict != "unfit":  # which the next delta tells
            with suppress(Fenced):  # so does the next write
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
        for event in self._aside:
            if not isinstance(event, ReasoningDelta):
                self._parts.whole(event)
            elif judged.verdict == "anew":
                self._parts.delta("reasoning", event.text)
        self._aside.clear()
        if judged.text:
            self._parts.delta("text", judged.text)

    def _notice(self, values: dict[str, str | int]) -> None:
        self._writer.write(chunks.notice({"event": "judged", **values}))


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
