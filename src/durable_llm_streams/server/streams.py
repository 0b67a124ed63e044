"""Server-sent events as ASGI responses: a run's log, and whatever else lasts.

Theory of operation
===================
1. A response reads by cursor and writes one body message for each page. It holds one page at the
   most, and the send waits while the client does not read: a slow client costs nothing more.
2. A run's page of many records is a reader catching up: neighbouring deltas are merged. Live pages
   are small and go out as they are.
3. A store that does not answer is waited for, with heartbeats, for `patience` seconds. Then the
   body ends cleanly, so that the client asks again, perhaps elsewhere.
4. Where the store has lost the client's last record (`log.Reader`), the stream ends: the client
   asks again with its cursor and is answered 410.
5. The client's going away cancels the response, not the run. The server's end cancels it too; then
   what was flushed last is sent, and the body is finished properly, without a terminal record: the
   client comes back elsewhere, and misses nothing of what was written here.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fastapi import FastAPI
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from durable_llm_streams.chunks import merge
from durable_llm_streams.errors import (
    CursorLost,
    NotFound,
    ShuttingDown,
    StoreError,
    StoreUnavailable,
)
from durable_llm_streams.log import Reader
from durable_llm_streams.model import token_at
from durable_llm_streams.store import Page
from durable_llm_streams.wire.sse import DONE, HEARTBEAT, FrameEncoder, opening

#: Seconds without an event before a comment is sent.
HEARTBEAT_SECONDS = 15.0

_MERGE_FROM = 9
_OUTAGE_SECONDS = 0.5
_LAST_LOOK_SECONDS = 1.0
_WAITING = "durable_llm_streams.waiting"
#: Of a page that is sent. A merged event is no larger: a slow connection still gets one through.
PAGE_BYTES = 64 * 1024


class Streams:
    """The open streams of a process.

    Args:
        patience: seconds that a stream waits for a store that does not answer.
    """

    def __init__(self, patience: float = 60.0) -> None:
        self.patience = patience
        self._open: set[asyncio.Task[None]] = set()
        self._followed: dict[str, _Followed] = {}
        self.closing = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, task: asyncio.Task[None]) -> None:
        """A stream opens."""
        self._open.add(task)

    def remove(self, task: asyncio.Task[None]) -> None:
        """A stream has ended."""
        self._open.discard(task)

    @contextmanager
    def following(self, run_id: str) -> Iterator[None]:
        """Somebody follows a run here."""
        followed = self._followed.setdefault(run_id, _Followed())
        followed.readers += 1
        try:
            yield
        finally:
            followed.readers -= 1
            if not followed.readers:
                del self._followed[run_id]
                followed.left.set()

    async def left(self, run_id: str, seconds: float) -> bool:
        """Whether nobody follows a run here, now or within so many seconds.

        A client that goes away and asks for something else does both at once: the news of the one
        may come after the other.
        """
        followed = self._followed.get(run_id)
        if followed is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await followed.left.wait()
        except TimeoutError:
            return False
        return True

    def check_open(self) -> None:
        """Raise ShuttingDown when no stream shall open any more."""
        if self.closing:
            raise ShuttingDown("This server is about to end. Ask again in a moment.")

    def close(self) -> None:
        """End every stream after what it has sent; its client comes back elsewhere."""
        self.closing = True
        for task in self._open:
            task.cancel()


class _Followed:
    """A run that is followed here: by how many, and when the last of them has left."""

    def __init__(self) -> None:
        self.readers = 0
        self.left = asyncio.Event()


class HandsOver(FastAPI):
    """An application whose streams run when the routing is over.

    A stream lives for minutes. Behind the middlewares and the routing it would keep all of their
    frames in memory and pass every chunk through their hands. What they do with the response's
    headers is done before: only the body is sent afterwards.

    Attributes:
        base_path: the path below which everything is served; "" or without a slash at its end.
        gate: what requests pass before the routing, around all of it; None for nothing.
    """

    base_path: str = ""
    gate: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        waiting: list[EventStream] = []
        # A copy of the scope, because what the routing leaves in it would live as long.
        copy = {**scope, _WAITING: waiting}
        await (self.gate or self.answer)(copy, receive, send)
        for stream in waiting:
            await stream.run(receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, without the gate.

        A proxy may hand requests on with the path before them or without it: where `root_path` is
        not how the path begins, Starlette takes the whole path.
        """
        if self.base_path:
            root = scope.get("root_path", "") + self.base_path
            scope = {**scope, "root_path": root}
            if scope["path"] == root:
                query = scope["query_string"].decode("latin-1")
                await RedirectResponse(f"{root}/" + (f"?{query}" if query else ""))(
                    scope, receive, send
                )
                return
        await super().__call__(scope, receive, send)


class EventStream(Response, ABC):
    """Events for as long as there are any.

    Args:
        streams: the process's open streams.
        headers: of the response.
    """

    def __init__(self, streams: Streams, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._streams = streams

    @abstractmethod
    async def _pump(self, send: Send) -> None:
        """Send the body, but for its end.

        `NotFound`, `CursorLost` and `StoreError` end it cleanly: the client comes back and learns
        what is the matter.
        """

    async def _outage(self, send: Send, began: float | None) -> float:
        """Wait a moment for a store that does not answer, with a sign of life for the client.

        Args:
            send: to the client.
            began: what this returned the last time, in the same outage; None at its beginning.

        Raises:
            StoreUnavailable: it has lasted too long.
        """
        now = asyncio.get_running_loop().time()
        if began is None:
            began = now
        if now - began > self._streams.patience:
            raise StoreUnavailable("The store has not answered for too long.")
        await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
        await asyncio.sleep(_OUTAGE_SECONDS)
        return began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream (ASGI), or leave its body to the application around (`HandsOver`)."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self.raw_headers = []
        if _WAITING in scope:
            scope[_WAITING].append(self)
        else:
            await self.run(receive, send)

    async def run(self, receive: Receive, send: Send) -> None:
        """Send the body."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        watcher = asyncio.create_task(_cancel_on_disconnect(receive, task))
        try:
            if not self._streams.closing:
                await self._pump(send)
        except asyncio.CancelledError:
            if not (watcher.done() or self._streams.closing):
                raise
            task.uncancel()
            if watcher.done():
                return  # the client has gone
        except (NotFound, CursorLost, StoreError):
            pass
        finally:
            self._streams.remove(task)
            watcher.cancel()
        await send({"type": "http.response.body", "body": b""})


class RunStream(EventStream):
    """Follows a run to its end.

    Args:
        streams: the process's open streams.
        reader: at the client's cursor, or behind `page`.
        headers: of the response.
        page: what the reader has read already; None if nothing.
    """

    def __init__(
        self,
        streams: Streams,
        reader: Reader,
        headers: Mapping[str, str],
        page: Page | None = None,
    ) -> None:
        super().__init__(streams, headers)
        self._reader = reader
        self._page = page

    async def _pump(self, send: Send) -> None:
        with self._streams.following(self._reader.run_id):
            await self._follow(send)

    async def _follow(self, send: Send) -> None:
        reader = self._reader
        encoder = FrameEncoder(reader.run_id)
        page, self._page = self._page, None
        await send({"type": "http.response.body", "body": opening(), "more_body": True})
        leaving = False
        outage: float | None = None
        while True:
            if page is not None and page.records:
                body = encode_page(encoder, page, reader.token)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            elif page is not None and not (reader.ended or leaving):
                await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
            if reader.ended or leaving:
                break
            try:
                page = await reader.read(max_bytes=PAGE_BYTES, wait=HEARTBEAT_SECONDS)
                outage = None
            except StoreUnavailable:
                outage, page = await self._outage(send, outage), None
            except asyncio.CancelledError:
                page, leaving = await self._last_look(), True
        if reader.ended:
            await send({"type": "http.response.body", "body": DONE, "more_body": True})

    async def _last_look(self) -> Page:
        """What was flushed since the last page, when the server ends; or CancelledError, if not."""
        if not self._streams.closing:
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(_LAST_LOOK_SECONDS):
                return await self._reader.read(max_bytes=PAGE_BYTES)
        except TimeoutError as error:
            raise StoreUnavailable("The store has not answered in time.") from error


def encode_page(encoder: FrameEncoder, page: Page, token: str) -> bytes:
    """A page's records as events; many of them merged.

    Args:
        encoder: of the stream.
        page: with at least one record.
        token: of the epoch that wrote the last of them.
    """
    records, spans = page.records, page.spans
    if len(records) == 1:
        return encoder.frames(token, page.first, records)
    if spans[-1].first <= page.first:
        if len(records) < _MERGE_FROM:
            return encoder.frames(token, page.first, records)
        return encoder.merged(token, ((page.first + i, chunk) for i, chunk in merge(records)))
    merged = [(page.first + i, chunk) for i, chunk in merge(records)]
    return b"".join(encoder.merged(token_at(spans, pair[0]), (pair,)) for pair in merged)


async def _cancel_on_disconnect(receive: Receive, task: asyncio.Task[None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
