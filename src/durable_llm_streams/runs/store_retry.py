"""Calls of the store that a run cannot do without: repeated while the store is away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BACKOFF = Backoff(0.1, 2.0)
_TRIES = 9


async def retried(call: Callable[[], Awaitable[T]], run_id: str, rng: random.Random) -> T:
    """Call the store, again while it is away, for a while.

    Args:
        call: makes one call; a repetition must be safe.
        run_id: the run, for the log.
        rng: for jitter.

    Raises:
        StoreUnavailable: it was away for too long. The outcome is unknown.
        DurableError: what the call raised.
    """
    for failures in range(1, _TRIES):
        try:
            return await call()
        except StoreUnavailable as error:
            logger.warning("Run %s: %s", run_id, error)
            await asyncio.sleep(_BACKOFF.delay(failures, rng.random))
    return await call()
