"""Time that passes only when nothing else can happen: hours of it in a millisecond.

Rules:

1. When no callback is ready, the loop's time jumps to the next timer.
2. When there is no timer either, nothing can ever happen again: the test fails at once.
3. A test that waits for something that never comes, while heartbeats continue, runs into `HORIZON`.
4. A test leaves no task and no thread behind.
5. Work takes no time, so the core is never busy, however slow the machine is.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from durable_llm_streams.log import Flusher

from . import waiting

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that one test may take, in its own time.
HORIZON = 2 * 24 * 3600.0
#: The wall clock at the loop's time 0, in milliseconds since 1970 UTC.
DAWN = 1_800_000_000_000


class Deadlock(BaseException):
    """Nothing can ever happen again, or nothing that the test waits for."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: it jumps instead."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise Deadlock("Every task waits for another one, and no timer runs.")
        self.time += timeout
        if self.time > HORIZON:
            raise Deadlock(f"What the test waits for did not come within {HORIZON} seconds.")
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop of which every second is free."""

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.time

    def jump(self, seconds: float) -> None:
        """Time passes, and nothing happens."""
        self._clock.time += seconds


def now() -> int:
    """The wall clock that belongs to the running loop, in milliseconds."""
    return DAWN + round(asyncio.get_running_loop().time() * 1000)


def run_virtual(body: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time; fail when it leaves a task or a thread behind."""

    async def watched() -> T:
        async with no_orphan_tasks():
            return await body

    # the default was read when the class was made
    idle_core = patch.dict(Flusher.__init__.__kwdefaults__, core=lambda: 0.0)
    with (
        idle_core,
        no_orphan_threads(),
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        return runner.run(watched())


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorate an async test, so that it runs in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run


@asynccontextmanager
async def no_orphan_tasks() -> AsyncIterator[None]:
    """Fail when the block leaves tasks behind that were not there before it."""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # what was cancelled or has ended may say so
        await asyncio.sleep(0)
    orphans = sorted(task.get_name() for task in asyncio.all_tasks() - before)
    assert not orphans, f"These tasks were left behind: {orphans}"


@contextmanager
def no_orphan_threads() -> Iterator[None]:
    """Fail when the block leaves threads behind that were not there before it."""
    before = set(threading.enumerate())
    yield
    orphans = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not orphans, f"These threads were left behind: {orphans}"


def suspend(seconds: float) -> None:
    """Let time pass in which this process stands still, as after SIGSTOP or on a closed laptop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jump(seconds)


async def elapsed(call: Awaitable[object]) -> float:
    """How many seconds something takes."""
    begin = asyncio.get_running_loop().time()
    await call
    return asyncio.get_running_loop().time() - begin


async def until(predicate: Callable[[], bool], *, within: float = 600.0) -> None:
    """Wait, look by look, until something is so."""
    await waiting.until(predicate, seconds=within)
