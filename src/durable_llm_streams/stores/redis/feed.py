"""The owners' feeds.

Theory of operation
===================
1. A script that changes a chat publishes the change to its owner in the same step. A partition
   numbers changes across all owners. A feed is the owner's last changes with their numbers.
2. A position is the store's id, a time, and the owner's last change in each partition: its number
   and its token, the microsecond when it was written. A Redis that lost its last writes gives the
   same numbers again, but not the same tokens. So if a subscriber's last change is not in the feed,
   it may have missed something.
3. A feed keeps one change more than it returns, to show whether older ones were dropped. A feed
   without a change for a day is deleted. A subscriber with an older position may have missed
   something, too.
4. The deletion of a chat takes its titles out of its earlier changes. These are skipped, but their
   positions stay valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import json
from typing_extensions import override

from durable_llm_streams.model import Status
from durable_llm_streams.store import FEED_LENGTH, Change, Changes, FeedStore
from durable_llm_streams.stores.notify import Notifier

from . import scripts
from .partitions import Partitions
from .replies import chat_from

_KEPT_MILLISECONDS = 23 * 3600 * 1000  # an hour less than the feeds themselves
_MARK = r"\d{1,15}(?:_\d{1,20})?"
_POSITION = re.compile(rf"([0-9a-f]{{16}})\.([0-9a-f]{{1,12}})\.({_MARK}(?:-{_MARK})*)", re.ASCII)


class _Mark(NamedTuple):
    """Identifies a change of an owner: its number, 0 for none, and its token."""

    number: int
    token: str = ""

    @classmethod
    def of(cls, entries: Sequence[list[Any]]) -> _Mark:
        """The mark of a feed's last change."""
        return cls(int(entries[-1][0]), _token(entries[-1])) if entries else cls(0)


class _Place(NamedTuple):
    """A position: milliseconds, and the owner's last change in each partition."""

    time: int
    marks: tuple[_Mark, ...]


class RedisFeed(FeedStore):
    """The feeds on Redis.

    Args:
        partitions: where they are.
        subscribers: notified by owner when a feed has a new change.
        clock: the clock argument of scripts: "" for the server's.
    """

    def __init__(
        self, partitions: Partitions, subscribers: Notifier, clock: Callable[[], str]
    ) -> None:
        self._partitions = partitions
        self._subscribers = subscribers
        self._clock = clock
        self.arriving = 0  # subscribers that do not wait yet

    @override
    async def changes(self, owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        since = self._read(after)
        with self._subscribers.subscribe(owner) as subscription:
            self.arriving += 1
            try:
                found = await self._since(owner, since)
            finally:
                self.arriving -= 1
            if wait > 0 and found.complete and not found.changes:
                await subscription.wait(wait)
                found = await self._since(owner, since)
        return found

    async def _since(self, owner: str, since: _Place | None) -> Changes:
        replies = await self._partitions.call_all(scripts.CHANGES, owner, self._clock())
        feeds = [[json.decode(entry) for entry in reply[1]] for reply in replies]
        time = min(int(reply[0]) for reply in replies)
        now = self._write(_Place(time, tuple(_Mark.of(entries) for entries in feeds)))
        if since is None or len(since.marks) != len(feeds):
            return Changes((), now, complete=False)
        if time - since.time > _KEPT_MILLISECONDS or not all(map(_complete, since.marks, feeds)):
            return Changes((), now, complete=False)
        marks = list(since.marks)
        changes = []
        for partition, entries in enumerate(feeds):
            for entry in entries:
                if _is_erased(entry):
                    continue
                if int(entry[0]) > since.marks[partition].number:
                    marks[partition] = _Mark(int(entry[0]), _token(entry))
                    position = self._write(_Place(time, tuple(marks)))
                    changes.append(_change(entry, position))
        return Changes(changes, now, complete=True)

    def _write(self, place: _Place) -> str:
        marks = "-".join(
            f"{mark.number}_{mark.token}" if mark.token else str(mark.number)
            for mark in place.marks
        )
        return f"{self._partitions.life}.{place.time:x}.{marks}"

    def _read(self, position: str | None) -> _Place | None:
        match = _POSITION.fullmatch(position or "")
        if match is None or match[1] != self._partitions.life:
            return None
        marks = (mark.partition("_") for mark in match[3].split("-"))
        return _Place(
            int(match[2], 16), tuple(_Mark(int(number), token) for number, _, token in marks)
        )


def _complete(since: _Mark, entries: Sequence[list[Any]]) -> bool:
    """Whether a feed still has every change since a mark."""
    if since.number == 0:
        return len(entries) <= FEED_LENGTH
    return any(_Mark(int(entry[0]), _token(entry)) == since for entry in entries)


def _is_erased(entry: list[Any]) -> bool:
    """Whether this was a change of a chat that was deleted later."""
    return len(entry) > 6


def _token(entry: list[Any]) -> str:
    """The token of a change; "" if an earlier version wrote it."""
    return str(entry[5]) if len(entry) > 5 else ""


def _change(entry: list[Any], position: str) -> Change:
    """A change from [number, kind, chat id, [run, answer, status], chat, token]."""
    _, kind, chat_id, about, view = entry[:5]
    run_id, message_id, status = (*about, None, None, None)[:3] if about else (None,) * 3
    return Change(
        kind=kind,
        position=position,
        chat_id=chat_id,
        chat=chat_from(view) if view else None,
        run_id=run_id,
        message_id=message_id,
        status=None if status is None else Status(status),
    )
