"""Readers of all kinds: quick ones, slow ones, such as leave and come back, such as come late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from durable_llm_streams.model import Cursor
from tests.app import Frame
from tests.redis_faults.reader import Reader

#: What a slow reader takes at once, in bytes.
_LITTLE = 512


def delays(readers: Sequence[CampaignReader]) -> dict[CampaignReader, float]:
    """How long each reader has waited for a record that another one had, in seconds at the most.

    Waiting begins with the connection that brought it. Who reads slowly waits for himself.
    """
    first: dict[int, float] = {}
    for reader in readers:
        for frame, came in zip(reader.frames, reader.came, strict=True):
            seq = Cursor.parse(frame.id).seq
            first[seq] = min(came, first.get(seq, came))
    return {
        reader: max(
            (
                came - max(began, first[Cursor.parse(frame.id).seq])
                for frame, came, began in zip(reader.frames, reader.came, reader.since, strict=True)
            ),
            default=0.0,
        )
        for reader in readers
        if not reader.is_slow
    }


class CampaignReader(Reader):
    """A reader of the campaign.

    Args:
        name: for the story of a violation.
        http: the visitor's connections.
        chat: the chat.
        urls: the servers, asked in turn.
        start: where he begins, a cursor; None at the beginning of what the chat's answer is now.
        slow: seconds between his reads.
        leaves: how often, of a hundred reads, he goes away and comes back.
        rng: draws when.

    Attributes:
        name, start: see above.
        requests: how many he has made.
        since: of each event, when the connection began that brought it, in the loop's time.
        left: how often he went away.
    """

    def __init__(
        self,
        name: str,
        http: aiohttp.ClientSession,
        chat: str,
        urls: Sequence[str],
        *,
        start: Cursor | None = None,
        slow: float = 0.0,
        leaves: int = 0,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(http, chat, urls)
        self.name = name
        self.start = start
        self.requests = self.left = 0
        self.since: list[float] = []
        self._connected = 0.0
        self._named_start = False  # in the request that is on its way
        self._slow = slow
        self._leaves = leaves
        self._rng = rng or random.Random(0)

    @property
    def is_slow(self) -> bool:
        """Whether he reads more slowly than it comes."""
        return self._slow > 0

    @property
    def complete(self) -> bool:
        """Whether a server has told this reader that there is nothing more."""
        return self._done

    def begin_at(self, start: Cursor) -> None:
        """Where to begin from now on, for one who has nothing yet and whose chat has ended."""
        self.start = start

    def _resume(self, url: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        self._named_start = self.start is not None and not self.frames
        if not self._named_start:
            return super()._resume(url)
        headers = {"Last-Event-ID": str(self.start)}
        return self._http.get(f"{url}/api/chat/{self.chat}/stream", headers=headers)

    async def _take(self, url: str, response: aiohttp.ClientResponse) -> None:
        self.requests += 1
        self._connected = self._loop.time()
        if response.status == 204 and self._named_start:
            self.statuses.append(204)
            self._done = True  # he had all of it when he came
        else:
            await super()._take(url, response)

    async def _parts(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async for data in super()._parts(response):
            if self._slow:
                for begin in range(0, len(data), _LITTLE):
                    yield data[begin : begin + _LITTLE]
                    await asyncio.sleep(self._slow)
            else:
                yield data
            if self._rng.randrange(100) < self._leaves and not self._done:
                self.left += 1
                response.close()
                return

    def _receive(self, frame: Frame) -> None:
        super()._receive(frame)
        if len(self.frames) > len(self.since):
            self.since.append(self._connected)
