"""A loop with a few processes and nothing else: what the tests of the simulator's parts live in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .loop import SimulationLoop, abandon

T = TypeVar("T")


def live(
    main: Callable[[], Coroutine[Any, Any, T]],
    seed: int = 0,
    *,
    most_turns: int = 100_000,
    horizon: float = 1e6,
) -> T:
    """Run a coroutine of the world's on a new loop. Returns or raises what it does."""
    loop = SimulationLoop(random.Random(seed), most_turns=most_turns, horizon=horizon)
    try:
        return loop.run_until_complete(main())
    finally:
        abandon(loop)


def loop_of_now() -> SimulationLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulationLoop)
    return loop
