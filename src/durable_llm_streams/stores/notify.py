"""Waiters inside a process: for a notification by name, and for the next page of a log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from durable_llm_streams.store import Page


class Subscription:
    """One notification, for one subscriber. None since its creation is lost."""

    __slots__ = ("_notified",)

    def __init__(self) -> None:
        self._notified: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def notify(self) -> None:
        """Wake the subscriber."""
        if not self._notified.done():
            self._notified.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return after a notification or a timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._notified


class Notifier:
    """Subscriptions by name."""

    def __init__(self) -> None:
        # In order of arrival: the order of the wake-ups must not depend on memory addresses.
        self._subscribed: dict[str, dict[Subscription, None]] = {}

    @contextlib.contextmanager
    def subscribe(self, name: str) -> Iterator[Subscription]:
        """Receive notifications under a name from now on."""
        subscription = Subscription()
        subscribed = self._subscribed.setdefault(name, {})
        subscribed[subscription] = None
        try:
            yield subscription
        finally:
            del subscribed[subscription]
            if not subscribed:
                del self._subscribed[name]

    def notify(self, name: str) -> None:
        """Wake the subscribers of a name."""
        for subscription in self._subscribed.get(name, ()):
            subscription.notify()

    def notify_all(self) -> None:
        """Wake all subscribers."""
        for subscribed in self._subscribed.values():
            for subscription in subscribed:
                subscription.notify()


class WorkSignal:
    """Notifications for the one task of a process that waits for work. None is lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake the task: there may be work."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return after a notification since the last call, or after a timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


#: Readers that wait for a page: each one's future, and its timeout in the loop's time.
Waiters = list[tuple[asyncio.Future[Page | None], float]]


def wake(waiters: Waiters, page: Page | None) -> None:
    """Wake every waiter with the page; with None it reads the log again."""
    for future, _ in waiters:
        if not future.done():
            future.set_result(page)


def wake_due(waiters: Waiters, now: float) -> Waiters:
    """Wake the waiters whose timeout is over. Returns the others."""
    others = []
    for future, until in waiters:
        if future.done():
            continue
        if until <= now:
            future.set_result(None)
        else:
            others.append((future, until))
    return others
