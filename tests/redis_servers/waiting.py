"""Waiting for what servers agree on among themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

#: Servers that settle something among them take longer than one that starts.
SECONDS = 30.0


async def until_true(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition; a server that cannot be asked now has not met it.

    Raises:
        AssertionError: it did not come true in time.
    """
    last: Exception | None = None
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    if await condition():
                        return
                except (RedisError, OSError) as error:
                    last = error
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"Waited in vain: {what}") from last
