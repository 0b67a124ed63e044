"""Readers that wait for a page, each until a time of its own."""

from __future__ import annotations

import asyncio

from durable_llm_streams.store import Page

#: What each waits on, and until when in the loop's time.
Waiters = list[tuple[asyncio.Future[Page | None], float]]


def wake(waiters: Waiters, page: Page | None) -> None:
    """Give every reader what it waits for, or let it look for itself."""
    for future, _ in waiters:
        if not future.done():
            future.set_result(page)


def wake_due(waiters: Waiters, now: float) -> Waiters:
    """Let those look for themselves who have waited long enough. Returns who still waits."""
    still = []
    for future, until in waiters:
        if future.done():
            continue
        if until <= now:
            future.set_result(None)
        else:
            still.append((future, until))
    return still
