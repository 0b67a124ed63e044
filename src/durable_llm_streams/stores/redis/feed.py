"""The owners' feeds.

Theory of operation
===================
1. A script that changes a chat tells its owner in the same step. In a partition changes are
   numbered through over all owners; a feed is the owner's last changes with their numbers.
2. A position is the store's life, a time, and the owner's last change in each partition: its number
   and its token, which is the microsecond when it was written. A Redis that lost its last writes
   gives numbers again, but not tokens: who stands at a change that is not there may have missed
   something.
3. A feed has one change more than it tells: its number says what went. A feed that nobody wrote to
   for a day is gone. An older position than that may have missed something, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import json

from durable_llm_streams.model import Status
from durable_llm_streams.store import FEED_LENGTH, Change, Changes
from durable_llm_streams.stores.bells import Bells

from . import scripts
from .context import Shared
from .replies import chat_from

_KEPT_MILLISECONDS = 23 * 3600 * 1000  # an hour less than the feeds themselves
_MARK = r"\d{1,15}(?:_\d{1,20})?"
_POSITION = re.compile(rf"([0-9a-f]{{16}})\.([0-9a-f]{{1,12}})\.({_MARK}(?:-{_MARK})*)", re.ASCII)


class _Mark(NamedTuple):
    """A change of an owner: its number, 0 for none, and its token."""

    number: int
    token: str = ""

    @classmethod
    def of(cls, entries: Sequence[list[Any]]) -> _Mark:
        """The last one of a feed."""
        return cls(int(entries[-1][0]), _token(entries[-1])) if entries else cls(0)


class _Place(NamedTuple):
    """A position: milliseconds, and the owner's last change in each partition."""

    time: int
    marks: tuple[_Mark, ...]


class Feeds:
    """The feeds of a store.

    Args:
        shared: see `Shared`.
        bells: ring for an owner to whom something was told.
    """

    def __init__(self, shared: Shared, bells: Bells) -> None:
        self._shared = shared
        self._bells = bells
        self.arriving = 0  # readers that are not yet waiting

    async def changes(self, owner: str, after: str | None, wait: float) -> Changes:
        """See `FeedStore.changes`."""
        since = self._read(after)
        with self._bells.listen(owner) as bell:
            self.arriving += 1
            try:
                found = await self._since(owner, since)
            finally:
                self.arriving -= 1
            if wait > 0 and found.complete and not found.changes:
                await bell.heard(wait)
                found = await self._since(owner, since)
        return found

    async def _since(self, owner: str, since: _Place | None) -> Changes:
        replies = await self._shared.call_all(scripts.CHANGES, owner, self._shared.clock)
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
        return f"{self._shared.life}.{place.time:x}.{marks}"

    def _read(self, position: str | None) -> _Place | None:
        match = _POSITION.fullmatch(position or "")
        if match is None or match[1] != self._shared.life:
            return None
        marks = (mark.partition("_") for mark in match[3].split("-"))
        return _Place(
            int(match[2], 16), tuple(_Mark(int(number), token) for number, _, token in marks)
        )


def _complete(since: _Mark, entries: Sequence[list[Any]]) -> bool:
    """Whether a feed still has everything that its owner was told since a change."""
    if since.number == 0:
        return len(entries) <= FEED_LENGTH
    return any(_Mark(int(entry[0]), _token(entry)) == since for entry in entries)


def _token(entry: list[Any]) -> str:
    """The token of a change; "" of one that an earlier version wrote."""
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
