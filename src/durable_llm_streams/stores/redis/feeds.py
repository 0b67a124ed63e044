"""The owners' feeds.

Theory of operation
===================
1. A script that changes a chat tells its owner in the same step. In a partition changes are
   numbered through over all owners; a feed is the owner's last changes with their numbers.
2. A feed has one change more than it tells: its number says what went. A feed that nobody wrote to
   for a day is gone. So a position carries its time, and an older one than that may have missed
   something.
3. A position is the store's life, a time, and the number of the last change in each partition.
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
_POSITION = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{1,12})\.(\d{1,15}(?:-\d{1,15})*)", re.ASCII)


class _Place(NamedTuple):
    """A position: milliseconds, and the last change's number in each partition."""

    time: int
    numbers: tuple[int, ...]


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
        now = _Place(min(int(reply[0]) for reply in replies), tuple(int(r[1]) for r in replies))
        nothing = Changes((), self._write(now), complete=False)
        if since is None or len(since.numbers) != len(now.numbers):
            return nothing
        numbers = list(since.numbers)
        told: list[tuple[int, list[Any]]] = []
        for partition, (_, last, feed) in enumerate(replies):
            entries = [json.decode(entry) for entry in feed]
            if not _complete(since, now, partition, entries, int(last)):
                return nothing
            told += [(partition, e) for e in entries if int(e[0]) > since.numbers[partition]]
        changes = []
        for partition, entry in told:
            numbers[partition] = int(entry[0])
            position = self._write(_Place(now.time, tuple(numbers)))
            changes.append(_change(entry, position))
        return Changes(changes, self._write(now), complete=True)

    def _write(self, place: _Place) -> str:
        numbers = "-".join(map(str, place.numbers))
        return f"{self._shared.life}.{place.time:x}.{numbers}"

    def _read(self, position: str | None) -> _Place | None:
        match = _POSITION.fullmatch(position or "")
        if match is None or match[1] != self._shared.life:
            return None
        return _Place(int(match[2], 16), tuple(map(int, match[3].split("-"))))


def _complete(
    since: _Place, now: _Place, partition: int, entries: Sequence[list[Any]], last: int
) -> bool:
    """Whether a feed still has everything that its owner was told since a place."""
    number = since.numbers[partition]
    if number > last or now.time - since.time > _KEPT_MILLISECONDS:
        return False
    return len(entries) <= FEED_LENGTH or int(entries[0][0]) <= number


def _change(entry: list[Any], position: str) -> Change:
    """A change from [number, kind, chat id, [run, answer, status], chat]."""
    _, kind, chat_id, about, view = entry
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
