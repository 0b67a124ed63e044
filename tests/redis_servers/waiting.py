"""Waiting for what servers agree on among themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from tests.waiting import until


async def until_true(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition; a server that cannot be asked now has not met it.

    Raises:
        AssertionError: it did not come true in time.
    """

    async def look() -> bool | Exception:
        try:
            return bool(await condition())
        except (RedisError, OSError) as error:
            return error

    await until(look, lambda found: found is True, what)
