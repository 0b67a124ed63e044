"""Subscribing to what other processes publish: one connection for this process.

Theory of operation
===================
1. Every partition has a channel for events: claims, ends, deletions, changes in feeds, work. There
   are few of them for each run, so every process receives all. The records of a run have a channel
   of their own. A process subscribes to it while it reads a run that another process writes.
2. Messages that are published while the connection is down are lost. So all waiters are woken when
   it breaks and when it is up again, and read the store again.
3. A subscription is valid when Redis has confirmed it. If a reader then finds nothing new in the
   store, it receives everything that is committed later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.protocols import RedisClient, Subscription
from durable_llm_streams.stores.redis.partitions import Partitions

logger = logging.getLogger(__name__)

_RETRY = Backoff(0.05, 1.0)
_DOWN = "Redis does not answer; records of other processes cannot be followed."


class Listener(Protocol):
    """Receives the events."""

    def event(self, event: bytes) -> None:
        """Handle an event of a partition."""
        ...

    def records(self, run_id: str, payload: bytes) -> None:
        """Handle records of a run."""
        ...

    def missed(self) -> None:
        """Handle a gap: messages may have been lost."""
        ...


class Events:
    """The subscribed connection, for as long as the store is open.

    Args:
        client: opens connections.
        partitions: whose events are received.
        listener: see `Listener`.
    """

    def __init__(self, client: RedisClient, partitions: Partitions, listener: Listener) -> None:
        self._client = client
        self._partitions = partitions
        self._listener = listener
        self._subscriber: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._channels: dict[bytes, Callable[[bytes], None]] = {}
        self._unsubscribing: set[asyncio.Task[None]] = set()
        self._reconnected: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Subscribe to the partitions' events. Raises StoreUnavailable."""
        await self._connect()
        self._task = asyncio.create_task(self._listen(), name="redis-events")

    async def follow(self, run_id: str, channel: str) -> None:
        """Subscribe to a run's records.

        Raises:
            StoreUnavailable: the connection is down.
        """
        subscriber = await self._connected()
        self._channels[channel.encode()] = lambda payload: self._listener.records(run_id, payload)
        await subscriber.subscribe(channel)

    def unfollow(self, channel: str) -> None:
        """Unsubscribe from a run's records, in the background."""
        if self._channels.pop(channel.encode(), None):
            task = asyncio.create_task(self._unsubscribe(channel))
            self._unsubscribing.add(task)
            task.add_done_callback(self._unsubscribing.discard)

    async def _unsubscribe(self, channel: str) -> None:
        if channel.encode() in self._channels or self._subscriber is None:
            return  # it is followed again
        with contextlib.suppress(StoreUnavailable):
            await self._subscriber.unsubscribe(channel)

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._subscriber is not None:
            await self._subscriber.close()

    async def _connected(self) -> Subscription:
        if self._subscriber is None:
            if self._reconnected is None:
                self._reconnected = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._client.address.timeout):
                    await asyncio.shield(self._reconnected)
            except TimeoutError:
                raise StoreUnavailable(_DOWN) from None
        self._partitions.check_open()
        if self._subscriber is None:  # it is down again
            raise StoreUnavailable(_DOWN)
        return self._subscriber

    async def _connect(self) -> None:
        channels = [partition.events_channel for partition in self._partitions.all]
        subscriber = await self._client.subscriber()
        self._channels = dict.fromkeys((name.encode() for name in channels), self._listener.event)
        try:
            await subscriber.subscribe(*channels)
        except BaseException:
            await subscriber.close()
            raise
        self._subscriber = subscriber
        if self._reconnected is not None:
            self._reconnected.set_result(None)
            self._reconnected = None

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                if self._subscriber is None:
                    await self._connect()
                    self._listener.missed()
                    failures = 0
                assert self._subscriber is not None
                await self._subscriber.listen(self._message)
            except StoreUnavailable as error:
                logger.warning("%s", error)
            except Exception:
                logger.exception("Unexpected failure of the subscribed connection")
            broken, self._subscriber = self._subscriber, None
            if broken is not None:
                await broken.close()
            self._listener.missed()
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures))

    def _message(self, channel: bytes, payload: bytes) -> None:
        handle = self._channels.get(channel)
        if handle is not None:
            handle(payload)
