"""How long to wait before asking again, and when to give up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import DurableError


class State(NamedTuple):
    """What a stream is doing.

    Attributes:
        name: `reconnecting` waits for `delay` seconds before its `attempt`; `live` has a stream.
        reason: why it is reconnecting.
    """

    name: Literal["connecting", "live", "reconnecting", "ended"]
    attempt: int = 0
    delay: float = 0.0
    reason: str = ""


class Retry(NamedTuple):
    """How long to wait for what. All times are in seconds.

    Attributes:
        first: the bound of the first random pause; each further one is twice as long.
        longest: the bound of all pauses.
        patience: give up after so long without progress; None never does.
        silence: a connection without a byte for so long is dead.
        connect: how long a connection may take.
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
    """The client's patience is over. With the last event's cursor, `follow` can go on later."""


class Cut(Exception):
    """Something to try again, after `retry_after` seconds if the server asked for them.

    Without a reason, it is the end of a stream that came before the end of the answer.
    """

    def __init__(self, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(reason or "the stream ended before the answer did")
        self.retry_after = retry_after


class RetryBudget:
    """Pauses between attempts, until there were too many of them."""

    def __init__(self, retry: Retry, report: Callable[[State], None]) -> None:
        self._retry = retry
        self._report = report
        self._attempt = 0
        self._heard = retry.clock()

    def heard(self) -> None:
        """The server is alive."""
        self._heard = self._retry.clock()

    def progress(self) -> None:
        """Something new came."""
        self._heard = self._retry.clock()
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
        if patience is not None and retry.clock() + delay - self._heard > patience:
            raise ServerUnreachable(f"Gave up after {self._attempt} attempts: {cut}.")
        self._report(State("reconnecting", self._attempt, delay, str(cut)))
        await retry.sleep(delay)
