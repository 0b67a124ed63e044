"""The subscribers of a campaign: each owner follows its live feed through all faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from tests.crash.trace import Trace
from tests.crash.workload import Chat, Owner
from tests.oracle.evidence import Evidence
from tests.oracle.feed import Subscriber, listed
from tests.oracle.invariants import violations
from tests.oracle.owner_evidence import Change, FeedReading
from tests.oracle.violation import Violation
from tests.waiting import until, within

#: At the end every subscriber has everything after so many seconds.
_SETTLE_SECONDS = 30.0


class Feeds:
    """The feeds of all owners."""

    def __init__(self, trace: Trace, pauses: Sequence[tuple[float, float]]) -> None:
        self._trace = trace
        self._pauses = pauses
        self._followed: dict[str, tuple[Owner, FeedReading, asyncio.Task[None]]] = {}
        self._chats: dict[str, str] = {}
        self._changes: list[Change] = []

    def follow(self, owner: Owner) -> None:
        feed = FeedReading(f"the subscriber of {owner.name}", owner.name)
        subscriber = Subscriber(owner.client(), lambda: listed(owner.client()), feed)
        task = asyncio.create_task(subscriber.follow(), name=feed.who)
        self._followed[owner.name] = owner, feed, task

    def add(self, chat: Chat) -> None:
        """Keep the changes of a chat that has been judged."""
        self._chats[chat.name] = chat.owner.name
        self._changes += chat.changes

    async def judged(self) -> list[Violation]:
        async with within("the list of every owner", seconds=_SETTLE_SECONDS):
            lists = {
                name: await listed(owner.client()) for name, (owner, _, _) in self._followed.items()
            }
        evidence = Evidence(
            feeds=self._feeds,
            changes=self._changes,
            owners=self._chats,
            lists=lists,
            pauses=self._pauses,
        )
        found: list[Violation] = []

        def look() -> list[Violation]:
            nonlocal found
            return (found := violations(evidence))

        with contextlib.suppress(AssertionError):  # `found` says what is wrong
            await until(look, lambda wrong: not wrong, "every feed", seconds=_SETTLE_SECONDS)
        feeds = self._feeds
        self._trace.counts["changes that feeds had to bring"] += len(self._changes)
        self._trace.counts["events of feeds"] += sum(len(feed.events) for feed in feeds)
        self._trace.counts["feeds opened"] += sum(feed.opens for feed in feeds)
        self._trace.counts["feeds that said they missed something"] += sum(
            feed.missed for feed in feeds
        )
        return found

    async def end(self) -> None:
        """Stop following. Raises the error of a subscriber that failed."""
        for _, _, task in self._followed.values():
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    @property
    def _feeds(self) -> list[FeedReading]:
        return [feed for _, feed, _ in self._followed.values()]
