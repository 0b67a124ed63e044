"""The planned end of a worker.

Theory of operation
===================
1. `drain`: the worker accepts no new runs, and no attempt begins. A run that needs another attempt
   is given back at once.
2. `finish`: running attempts may go on for `Limits.grace` seconds. Leases are still renewed.
3. `close`: the tasks are cancelled and what they wrote is flushed. Only then are their runs given
   back, because after that their epochs can write nothing. A task that does not end delays neither
   the other runs nor their readers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from .executor import Executor
from .limits import Limits

logger = logging.getLogger(__name__)

#: After so many seconds the runs of ended tasks are given back, even if another task has not ended.
_CANCEL_GRACE_SECONDS = 0.2


async def finish(executor: Executor, limits: Limits) -> None:
    """Wait until no task runs, for `Limits.grace` at most. It may be cancelled."""
    if executor.tasks and limits.grace:
        await asyncio.wait(executor.tasks, timeout=limits.grace)


async def close(
    executor: Executor,
    limits: Limits,
    loops: Iterable[asyncio.Task[None]],
    claiming: asyncio.Task[None] | None,
) -> None:
    """Cancel the tasks, flush, give the runs back.

    Args:
        executor: it must be draining.
        limits: see `Limits`.
        loops: tasks to cancel.
        claiming: the task that claims. It ends by itself when it has given back its last claims.
    """
    held = executor.held
    if held:
        logger.info("Handing over %d answers", len(held))
    leaving = {*loops, *executor.tasks}
    for task in leaving:
        task.cancel()
    if claiming is not None:
        leaving.add(claiming)
    seconds = limits.shutdown_seconds
    if leaving:
        _, late = await asyncio.wait(leaving, timeout=min(_CANCEL_GRACE_SECONDS, seconds))
        if late:
            quick = [claim for claim, task in held if task not in late]
            held = [(claim, task) for claim, task in held if task in late]
            await asyncio.gather(executor.release(quick), asyncio.wait(late, timeout=seconds))
    if claiming is not None:
        claiming.cancel()
    await executor.shutdown_step(executor.flusher.close())
    await executor.release([claim for claim, _ in held])
    await executor.jobs.close(seconds)
