"""A time limit for the other side: what counts as its delay, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.runs.idle_timeout import Patience

from .virtual_time import elapsed, virtual


async def waiting(limit: float, longest: float) -> None:
    async with Patience(limit, longest):
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(("limit", "longest"), [(10, 20), (20, 10)])
@virtual
async def test_the_first_of_two_limits_ends_the_block(limit: float, longest: float) -> None:
    async def overdue() -> None:
        with pytest.raises(TimeoutError):
            await waiting(limit, longest)

    assert await elapsed(overdue()) == 10


@virtual
async def test_a_process_that_stood_still_does_not_blame_the_other_side() -> None:
    loop = asyncio.get_running_loop()
    async with Patience(10) as patience:
        due = patience._timer
        assert due is not None
        due.cancel()
        await asyncio.sleep(60)  # nothing ran for a minute, also not the timer
        patience._due(due.when())
        assert loop.time() < patience.last + patience.limit
        await asyncio.sleep(9)
        patience.happened(10)
        await asyncio.sleep(9)
