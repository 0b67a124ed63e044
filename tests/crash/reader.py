"""Readers over real HTTP: quick ones, slow ones, such as leave and come back, such as come late."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import aiohttp

from durable_llm_streams.model import Cursor
from tests.app import user
from tests.oracle.evidence import Accepted, Reading
from tests.oracle.http import HttpTransport
from tests.oracle.reader import Client, Request
from tests.waiting import until, within

#: What a slow reader takes at once, in bytes.
_LITTLE = 512


class Acceptance(NamedTuple):
    """What a question was answered, and when, in the loop's time."""

    what: Accepted
    at: float


class Reader:
    """Reads the answer of one chat in a task of its own. `slow`, `leaves`: as in `ReaderPlan`.

    Attributes:
        reading: what it has received.
        accepted: what its question was answered.
        left: how often it went away and came back.
    """

    def __init__(
        self,
        name: str,
        http: aiohttp.ClientSession,
        chat: str,
        urls: Sequence[str],
        *,
        after: Cursor | None = None,
        slow: float = 0.0,
        leaves: int = 0,
        rng: random.Random | None = None,
    ) -> None:
        self.reading = Reading(name, chat, after=after, slow=slow > 0)
        self.accepted: list[Acceptance] = []
        self.left = 0
        self._client = Client(HttpTransport(http, urls), len(urls))
        self._slow = slow
        self._leaves = leaves
        self._rng = rng or random.Random(0)
        self._task: asyncio.Task[Reading]

    @property
    def last(self) -> int:
        return self.reading.last

    @property
    def has_ended(self) -> bool:
        return self._task.done()

    @property
    def ended(self) -> Awaitable[Reading]:
        """What it does until it reads no more."""
        return asyncio.shield(self._task)

    def ask(
        self,
        question: str,
        *,
        message_id: str = "m1",
        model: str | None = None,
        edits: str | None = None,
    ) -> Reader:
        """Send a question, and again until it is accepted; then read to the end."""
        chat = self.reading.chat
        body = {"id": chat, "message": user(message_id, question), "model": model}
        if edits is not None:
            body["messageId"] = edits
        request = Request("POST", "/api/chat", json.dumps(body).encode())
        return self._begin(request, lambda run: self._accept(Accepted(chat, message_id, run)))

    def follow(self) -> Reader:
        """Read what is asked by another reader, now or later."""
        return self._begin(None, lambda run: None)

    async def reaches(self, record: int) -> None:
        """Wait until it has the record with this number, or reads no more."""
        reading = self.reading
        await until(
            lambda: reading.last,
            lambda last: last >= record or self.has_ended,
            f"{reading.who} to have record {record} (statuses {reading.statuses[-5:]})",
        )

    async def finish(self) -> Reading:
        reading = self.reading
        what = f"the end of what {reading.who} reads"
        async with within(what, lambda: (reading.last, reading.statuses[-5:])):
            return await self.ended

    async def leave(self) -> None:
        """Go away for good."""
        await self.close()
        self.reading.left = True

    async def close(self) -> None:
        """Read no further. Raises what went wrong, if anything did."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    def _begin(self, first: Request | None, accepted: Callable[[str], None]) -> Reader:
        reading = self._client.read(
            self.reading,
            first,
            pace=self._pace if self._slow or self._leaves else None,
            waits=True,
            accepted=accepted,
        )
        self._task = asyncio.create_task(reading, name=self.reading.who)
        return self

    def _accept(self, accepted: Accepted) -> None:
        self.accepted.append(Acceptance(accepted, asyncio.get_running_loop().time()))

    async def _pace(self, piece: bytes) -> bool:
        if self._slow:
            await asyncio.sleep(self._slow * -(-len(piece) // _LITTLE))
        if self._rng.randrange(100) < self._leaves and not self.reading.has_end:
            self.left += 1
            return False
        return True


def longest_gap(reading: Reading, since: int = 0) -> float:
    """The longest time without an event, in seconds, from an event on."""
    came = reading.came[since:]
    return max((later - sooner for sooner, later in itertools.pairwise(came)), default=0.0)
