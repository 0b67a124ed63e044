"""The owners' feeds, in memory: one process serves the file, so it sees every change.

Theory of operation
===================
1. Changes are numbered across all owners. A position is a random id of this process and a number.
2. The last `FEED_LENGTH` changes of an owner are kept, and `MOST_CHANGES` of all owners together:
   about 10 MB. The feed whose last change is the oldest is dropped first. Owners whose chats do not
   change cost nothing.
3. Of dropped changes only the highest number is kept: for each feed, and for all dropped feeds.
   A subscriber at this number or after it has missed nothing.
4. When a chat is deleted, its earlier changes are removed: nobody needs them, and they have its
   title.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict, deque

from typing_extensions import override

from durable_llm_streams.errors import StoreClosed
from durable_llm_streams.model import Chat, Run
from durable_llm_streams.store import FEED_LENGTH, Change, ChangeKind, Changes, FeedStore
from durable_llm_streams.stores.notify import Notifier

#: How many changes are kept in all.
MOST_CHANGES = 10_000


class _Feed:
    """An owner's last changes with their numbers, and the highest number that was dropped."""

    __slots__ = ("changes", "dropped")

    def __init__(self, dropped: int) -> None:
        self.changes: deque[tuple[int, Change]] = deque()
        self.dropped = dropped


class SQLiteFeed(FeedStore):
    """Feeds of this process.

    Args:
        most: how many changes are kept in all; at least `FEED_LENGTH`.
    """

    def __init__(self, most: int = MOST_CHANGES) -> None:
        self._most = most
        self._process = secrets.token_hex(8)
        self._number = 0
        self._kept = 0
        self._dropped = 0  # the highest number among the changes of dropped feeds
        self._feeds: OrderedDict[str, _Feed] = OrderedDict()  # longest without a change first
        self._subscribers = Notifier()
        self._closed = False

    def publish(self, kind: ChangeKind, chat: Chat, run: Run | None = None) -> None:
        """Publish a committed change to the chat's owner."""
        self._number += 1
        change = Change(
            kind=kind,
            position=self._position,
            chat_id=chat.id,
            chat=None if kind == "chat-deleted" else chat,
            run_id=None if run is None else run.id,
            message_id=None if run is None else run.message_id,
            status=None if run is None or kind == "run-started" else run.status,
        )
        feed = self._feeds.setdefault(chat.owner, _Feed(self._dropped))
        if kind == "chat-deleted":
            self._forget(feed, chat.id)
        self._feeds.move_to_end(chat.owner)
        feed.changes.append((self._number, change))
        self._kept += 1
        self._drop_oldest(feed)
        self._subscribers.notify(chat.owner)

    def _forget(self, feed: _Feed, chat_id: str) -> None:
        """Remove the changes of a deleted chat, which have its title."""
        kept = [(number, change) for number, change in feed.changes if change.chat_id != chat_id]
        self._kept -= len(feed.changes) - len(kept)
        feed.changes = deque(kept)

    def _drop_oldest(self, feed: _Feed) -> None:
        if len(feed.changes) > FEED_LENGTH:
            feed.dropped, _ = feed.changes.popleft()
            self._kept -= 1
        while self._kept > self._most:
            _, oldest = self._feeds.popitem(last=False)
            self._dropped, _ = oldest.changes[-1]
            self._kept -= len(oldest.changes)

    @override
    async def changes(self, owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        since = self._number_at(after)
        found = self._since(owner, since)
        if wait > 0 and found.complete and not found.changes:
            with self._subscribers.subscribe(owner) as subscription:
                await subscription.wait(wait)
            found = self._since(owner, since)
        return found

    def _since(self, owner: str, since: int | None) -> Changes:
        if self._closed:
            raise StoreClosed
        feed = self._feeds.get(owner)
        dropped = self._dropped if feed is None else feed.dropped
        if since is None or since < dropped:
            return Changes((), self._position, complete=False)
        kept = () if feed is None else feed.changes
        changes = [change for number, change in kept if number > since]
        return Changes(changes, self._position, complete=True)

    @property
    def _position(self) -> str:
        return f"{self._process}.{self._number}"

    def _number_at(self, position: str | None) -> int | None:
        match = re.fullmatch(r"([0-9a-f]{16})\.(\d{1,15})", position or "", re.ASCII)
        if match is None or match[1] != self._process:
            return None
        number = int(match[2])
        return number if number <= self._number else None

    def close(self) -> None:
        """Wake all subscribers; they raise StoreClosed."""
        self._closed = True
        self._subscribers.notify_all()
