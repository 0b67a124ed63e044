"""A client that comes back with its cursor, to whatever server takes it, until the answer ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from durable_llm_streams.chunks import decode
from durable_llm_streams.model import Cursor
from durable_llm_streams.wire.sse import DONE_DATA, SSEParser
from tests.app import Frame, user

TERMINAL = ("finish", "error", "abort")

_PAUSE = 0.05
_PAUSE_503 = 0.2


class Reader:
    """Reads the answer of one chat, over however many connections.

    Attributes:
        chat: the chat.
        urls: the servers, asked in turn.
        frames: every event received, in order.
        came: when each of them came, in the loop's time.
        comments: how many signs of life came.
        sources: the server of each connection that brought events.
        statuses: every status that was not 200.
        runs: the runs that the servers named.
        clean_ends: how many connections ended properly without the answer's end.
        lost: whether a server said that the cursor is lost; then the reader gives up.
        ended: done when there is nothing more to read.
    """

    def __init__(self, http: aiohttp.ClientSession, chat: str, urls: Sequence[str]) -> None:
        self.chat = chat
        self.urls = urls
        self.frames: list[Frame] = []
        self.came: list[float] = []
        self.comments = self.clean_ends = 0
        self.sources: list[str] = []
        self.statuses: list[int] = []
        self.runs: set[str] = set()
        self.lost = False
        self._http = http
        self._turn = itertools.cycle(range(len(urls)))
        self._done = False
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ended(self) -> Awaitable[None]:
        """What this reader does until the end."""
        return asyncio.shield(self._tasks[-1])

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to read."""
        return self._tasks[-1].done()

    @property
    def cursor(self) -> Cursor | None:
        """The place behind what was received."""
        return Cursor.parse(self.frames[-1].id) if self.frames else None

    @property
    def last(self) -> int:
        """The last record's number."""
        return self.cursor.seq if self.cursor is not None else 0

    def longest_gap(self, since: int = 0) -> float:
        """The longest time without an event, in seconds, from an event on."""
        came = self.came[since:]
        return max(later - sooner for sooner, later in itertools.pairwise(came))

    def ask(self, question: str, *, message_id: str = "m1", model: str | None = None) -> Reader:
        """Send a question, and again until it is accepted; then read to the end."""
        body = {"id": self.chat, "message": user(message_id, question), "model": model}
        return self._begin(lambda url: self._http.post(f"{url}/api/chat", json=body))

    def follow(self) -> Reader:
        """Read what somebody else has asked."""
        return self._begin(self._resume)

    async def reaches(self, record: int) -> None:
        """Wait until the record with this number has come, or the end."""
        async with asyncio.timeout(60):
            while self.last < record and not self._tasks[-1].done():
                await asyncio.sleep(0.005)
        if self._tasks[-1].done():
            await self._tasks[-1]

    @property
    def _has_end(self) -> bool:
        return bool(self.frames) and decode(self.frames[-1].data)["type"] in TERMINAL

    async def close(self) -> None:
        """Read no further. Raises what went wrong, if anything did."""
        for task in self._tasks:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    def _begin(
        self, first: Callable[[str], AbstractAsyncContextManager[aiohttp.ClientResponse]]
    ) -> Reader:
        self._tasks.append(asyncio.create_task(self._read(first), name=f"reader of {self.chat}"))
        return self

    async def _read(
        self, request: Callable[[str], AbstractAsyncContextManager[aiohttp.ClientResponse]]
    ) -> None:
        while not (self._done or self.lost):
            url = self.urls[next(self._turn)]
            try:
                async with (self._resume if self.frames else request)(url) as response:
                    await self._take(url, response)
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                await asyncio.sleep(_PAUSE)  # this one is dead, or dies now

    def _resume(self, url: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Last-Event-ID": self.frames[-1].id} if self.frames else {}
        return self._http.get(f"{url}/api/chat/{self.chat}/stream", headers=headers)

    async def _take(self, url: str, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            self.runs.add(response.headers["x-run-id"])
            await self._take_events(url, response)
            return
        self.statuses.append(response.status)
        if response.status == 410:
            self.lost = True
        elif response.status == 503:
            assert int(response.headers["retry-after"]) > 0
            await asyncio.sleep(_PAUSE_503)
        elif response.status in (204, 404) and not self.frames:
            await asyncio.sleep(_PAUSE)  # nobody has asked yet
        else:
            assert response.status == 204, (response.status, await response.text())
            assert self._has_end, "told that nothing is missing"
            self._done = True

    async def _take_events(self, url: str, response: aiohttp.ClientResponse) -> None:
        parser = SSEParser()
        async for data in self._parts(response):
            self.comments += data.count(b": keep-alive")
            for event in parser.feed(data):
                if self.sources[-1:] != [url]:
                    self.sources.append(url)
                self._receive(Frame(event.id, event.data))
        self.clean_ends += not self._done

    def _parts(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """What comes, as it comes."""
        return response.content.iter_any()

    def _receive(self, frame: Frame) -> None:
        """What must hold of every event at the moment when it comes."""
        assert not self._done, f"{frame} came after the end"
        if frame.data == DONE_DATA:
            assert self._has_end, "an end without its record"
            self._done = True
            return
        cursor, before = Cursor.parse(frame.id), self.cursor
        if before is not None:
            assert cursor.run_id == before.run_id, "another answer"
            assert cursor.seq > before.seq, f"{frame} came behind {self.frames[-1]}"
            assert not self._has_end, f"{frame} came after the end"
        self.frames.append(frame)
        self.came.append(self._loop.time())
