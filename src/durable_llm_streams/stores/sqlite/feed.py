"""The owners' feeds, in memory: one process serves the file, so it sees every change.

Theory of operation
===================
1. Changes are numbered through over all owners. A position is this process's life and a number.
2. Of an owner the last `FEED_LENGTH` changes are kept, of all owners together `MOST_CHANGES`: about
   10 MB. The owner whose last change is longest ago is forgotten first. Owners whose chats do not
   change cost nothing.
3. Of what was forgotten only the highest number is known, for the owner or for all forgotten
   owners. A subscriber at this number or after it has missed nothing, whichever owner it was.
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

#: So many changes are kept in all.
MOST_CHANGES = 10_000


class _Feed:
    """An owner's last changes with their numbers, and the highest number that is not here."""

    __slots__ = ("changes", "gone")

    def __init__(self, gone: int) -> None:
        self.changes: deque[tuple[int, Change]] = deque()
        self.gone = gone


class SQLiteFeed(FeedStore):
    """What happened in this process's life.

    Args:
        most: how many changes are kept in all; not less than `FEED_LENGTH`.
    """

    def __init__(self, most: int = MOST_CHANGES) -> None:
        self._most = most
        self._life = secrets.token_hex(8)
        self._number = 0
        self._kept = 0
        self._gone = 0  # the highest number among the changes of forgotten owners
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
        feed = self._feeds.setdefault(chat.owner, _Feed(self._gone))
        self._feeds.move_to_end(chat.owner)
        feed.changes.append((self._number, change))
        self._kept += 1
        self._forget(feed)
        self._subscribers.notify(chat.owner)

    def _forget(self, feed: _Feed) -> None:
        if len(feed.changes) > FEED_LENGTH:
            feed.gone, _ = feed.changes.popleft()
            self._kept -= 1
        while self._kept > self._most:
            _, oldest = self._feeds.popitem(last=False)
            self._gone, _ = oldest.changes[-1]
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
        gone = self._gone if feed is None else feed.gone
        if since is None or since < gone:
            return Changes((), self._position, complete=False)
        known = () if feed is None else feed.changes
        changes = [change for number, change in known if number > since]
        return Changes(changes, self._position, complete=True)

    @property
    def _position(self) -> str:
        return f"{self._life}.{self._number}"

    def _number_at(self, position: str | None) -> int | None:
        match = re.fullmatch(r"([0-9a-f]{16})\.(\d{1,15})", position or "", re.ASCII)
        if match is None or match[1] != self._life:
            return None
        number = int(match[2])
        return number if number <= self._number else None

    def close(self) -> None:
        """Wake all subscribers; they raise StoreClosed."""
        self._closed = True
        self._subscribers.notify_all()
