"""How long to wait before a retry, and when to give up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import DurableError


class State(NamedTuple):
    """The state of a stream.

    Attributes:
        name: `reconnecting` waits for `delay` seconds before its `attempt`; `live` is connected.
        reason: why it is reconnecting.
    """

    name: Literal["connecting", "live", "reconnecting", "ended"]
    attempt: int = 0
    delay: float = 0.0
    reason: str = ""


class Retry(NamedTuple):
    """Timeouts and backoff. All times are in seconds.

    Attributes:
        first: the bound of the first random delay; it doubles with each retry.
        longest: the bound of all delays.
        patience: give up after so long without progress; None never gives up.
        silence: the timeout of a connection without a byte.
        connect: the timeout to connect.
        random: draws from 0 to 1.
    """

    first: float = 0.25
    longest: float = 15.0
    patience: float | None = 300.0
    silence: float = 40.0
    connect: float = 10.0
    random: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


class ServerUnreachable(DurableError):
    """The client gave up. With the last event's cursor, `follow` can go on later."""


class Cut(Exception):
    """A failure to be retried, after `retry_after` seconds if the server asked for that.

    Without a reason, the stream ended before the answer.
    """

    def __init__(self, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(reason or "the stream ended before the answer did")
        self.retry_after = retry_after


class RetryBudget:
    """Waits between attempts, until there was no progress for too long."""

    def __init__(self, retry: Retry, report: Callable[[State], None]) -> None:
        self._retry = retry
        self._report = report
        self._attempt = 0
        self._last_alive = retry.clock()

    def alive(self) -> None:
        """The server sent a sign of life."""
        self._last_alive = self._retry.clock()

    def progress(self) -> None:
        """A new event arrived."""
        self._last_alive = self._retry.clock()
        self._attempt = 0

    async def pause(self, cut: Cut) -> None:
        """Wait before the next attempt, with full jitter.

        Raises:
            ServerUnreachable: the next attempt would come too late.
        """
        retry = self._retry
        self._attempt += 1
        backoff = Backoff(retry.first, retry.longest, jitter=1.0)
        delay = cut.retry_after + backoff.delay(self._attempt, retry.random)
        patience = retry.patience
        if patience is not None and retry.clock() + delay - self._last_alive > patience:
            raise ServerUnreachable(f"Gave up after {self._attempt} attempts: {cut}.")
        self._report(State("reconnecting", self._attempt, delay, str(cut)))
        await retry.sleep(delay)
