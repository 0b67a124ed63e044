"""What other processes publish: one subscribed connection for this process.

Theory of operation
===================
1. Every partition has a channel for events: claims, ends, deletions, changes in feeds, work. There
   are a few of them for each run, so every process gets all. The records of a run have a channel
   of their own; a process subscribes to it while it reads a run that another process writes.
2. Messages that are published while the connection is down are lost. So all waiters are woken when
   it breaks and when it is back, and read the store again.
3. A subscription counts when Redis has confirmed it. A reader that then finds nothing new in the
   store receives everything that is published later.
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
        """An event of a partition."""
        ...

    def records(self, run_id: str, payload: bytes) -> None:
        """Records of a run."""
        ...

    def missed(self) -> None:
        """Something may have been missed."""
        ...


class Events:
    """The subscribed connection, for as long as the store is open.

    Args:
        client: how Redis is reached.
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
        self._parting: set[asyncio.Task[None]] = set()
        self._back: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Subscribe to the partitions' events. Raises StoreUnavailable."""
        await self._connect()
        self._task = asyncio.create_task(self._listen(), name="redis-events")

    async def follow(self, run_id: str, channel: str) -> None:
        """Receive a run's records from now on.

        Raises:
            StoreUnavailable: the connection is down.
        """
        subscriber = await self._connected()
        self._channels[channel.encode()] = lambda payload: self._listener.records(run_id, payload)
        await subscriber.subscribe(channel)

    def unfollow(self, channel: str) -> None:
        """Receive a run's records no longer."""
        if self._channels.pop(channel.encode(), None):
            parting = asyncio.create_task(self._unsubscribe(channel))
            self._parting.add(parting)
            parting.add_done_callback(self._parting.discard)

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
            if self._back is None:
                self._back = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._client.address.timeout):
                    await asyncio.shield(self._back)
            except TimeoutError:
                raise StoreUnavailable(_DOWN) from None
        self._partitions.check_open()
        if self._subscriber is None:  # it was back, and is gone again
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
        if self._back is not None:
            self._back.set_result(None)
            self._back = None

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
