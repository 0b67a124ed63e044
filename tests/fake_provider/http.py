"""An HTTP server that sends exactly the bytes it is given, with pauses and faults between them.

An answer is a `Reply`: a head, and the steps of its body. Steps are plain values, so whatever makes
them does no I/O, and the simulator plays the same steps without a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from multidict import CIMultiDict

#: Until what was sent was read: a reset, and what breaks the framing, can take it along.
_SETTLE_SECONDS = 0.1
_LINGER_NOT = struct.pack("ii", 1, 0)


class Raw(NamedTuple):
    """Bytes outside of the framing, such as a broken chunk size."""

    data: bytes


class End(Enum):
    """An end of the connection that is not the end of the body."""

    RESET = "TCP RST"
    CLOSE = "closed in order, without the end that the framing asks for"
    HANG = "nothing more comes; open until the client leaves"


#: Bytes to send, a pause in seconds, bytes outside of the framing, or the end of the connection.
Step = bytes | float | Raw | End


@dataclass(kw_only=True)
class Reply:
    """An answer to one request.

    Attributes:
        media_type: "" sends no content type.
        framing: how the end of the body is known; `chunked` makes a chunk of each step.
        length: for the framing `length`.
        head: whether there is a head at all.
        head_late: whether the head is sent with the first bytes of the body only.
        steps: the body. They are taken one by one, each when the one before it has been sent.
    """

    status: int = 200
    media_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Literal["close", "chunked", "length"] = "chunked"
    length: int = 0
    head: bool = True
    head_late: bool = False
    steps: Iterable[Step] = ()

    @classmethod
    def whole(
        cls, data: bytes, status: int = 200, media_type: str = "application/json", **headers: str
    ) -> Self:
        """An answer of a known length."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(
            status=status,
            media_type=media_type,
            headers=named,
            framing="length",
            length=len(data),
            steps=[data],
        )

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Self:
        """The same of a JSON document."""
        return cls.whole(json.dumps(value).encode(), status, **headers)

    def head_bytes(self) -> bytes:
        """The status line and the headers."""
        headers = {"Content-Type": self.media_type} if self.media_type else {}
        headers |= self.headers
        if self.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif self.framing == "length":
            headers["Content-Length"] = str(self.length)
        known = self.status in HTTPStatus.__members__.values()
        phrase = HTTPStatus(self.status).phrase if known else "Odd"
        lines = [f"HTTP/1.1 {self.status} {phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(eq=False)
class Request:
    """A request as it came, and what became of it.

    Attributes:
        target: the path with its query.
        body: of JSON; None where there is none.
        words: how many words were written so far.
        closed_early: whether the client left before the end.
        ended: is set when the answer is over.
    """

    method: str
    target: str
    headers: CIMultiDict[str]
    body: Any
    words: int = 0
    closed_early: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        """The path behind the base address, such as `chat/completions`."""
        whole = self.target.partition("?")[0]
        return whole.rpartition("/v1/")[2]

    @property
    def query(self) -> dict[str, str]:
        """The query's values by their names."""
        found = parse_qs(self.target.partition("?")[2])
        return {name: values[-1] for name, values in found.items()}


class _NotHttp(Exception):
    """The client speaks something else, such as TLS."""


class HttpServer(ABC):
    """The server. Also an asynchronous context manager.

    A request for a whole address is answered the same, so it also stands in for an HTTP proxy.

    Attributes:
        port: where it listens; 0 before it does chooses any.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._connections: set[asyncio.Task[Any]] = set()

    @abstractmethod
    async def reply(self, request: Request) -> Reply:
        """What a request gets."""

    async def __aenter__(self) -> Self:
        self._server = await self._listen(self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @asynccontextmanager
    async def also_with(self, context: ssl.SSLContext) -> AsyncIterator[int]:
        """Listen on a second port, with TLS; gives the port."""
        async with await self._listen(0, context) as server:
            yield server.sockets[0].getsockname()[1]

    async def _listen(self, port: int, context: ssl.SSLContext | None = None) -> asyncio.Server:
        return await asyncio.start_server(
            self._serve, "127.0.0.1", port, ssl=context, limit=2**26, backlog=1024
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(await _request(reader), reader, writer)
        except _NotHttp:
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        except asyncio.CancelledError:
            pass  # the server is closed
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer until the end, or until the client leaves."""
        try:
            reply = await self.reply(request)
            sending = asyncio.ensure_future(_send(reply, writer))
            leaving = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
                request.closed_early = not sending.done() or sending.exception() is not None
            finally:
                for task in (sending, leaving):
                    task.cancel()
                results = await asyncio.gather(sending, leaving, return_exceptions=True)
                _close(reply.steps)
            if isinstance(results[0], Exception) and not isinstance(results[0], ConnectionError):
                raise results[0]
        finally:
            request.ended.set()


async def _request(reader: asyncio.StreamReader) -> Request:
    begin = await reader.readexactly(1)
    if not begin.isalpha():
        raise _NotHttp
    head = (begin + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = CIMultiDict((name, value.strip()) for name, _, value in pairs)
    data = await reader.readexactly(int(headers.get("Content-Length", "0")))
    url = urlsplit(target)
    path = f"{url.path}?{url.query}" if url.query else url.path
    return Request(method, path, headers, json.loads(data) if data.strip() else None)


def _close(steps: Iterable[Step]) -> None:
    """Let a generator that was not taken to its end do what it does there."""
    if isinstance(steps, AsyncGenerator):
        raise TypeError("Steps are made without waiting.")
    if close := getattr(steps, "close", None):
        close()


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> None:
    """Send an answer; returns when the connection is closed."""
    head = reply.head_bytes() if reply.head else b""
    if not reply.head_late:
        writer.write(head)
        head = b""
    for step in reply.steps:
        if isinstance(step, float):
            await asyncio.sleep(step)
        elif isinstance(step, End):
            writer.write(head)
            return await _end(step, writer)
        else:
            if isinstance(step, Raw):
                await asyncio.sleep(_SETTLE_SECONDS)
                data = step.data
            elif reply.framing == "chunked" and step:
                data = b"%x\r\n%b\r\n" % (len(step), step)
            else:
                data = step
            writer.write(head + data)
            head = b""
            await writer.drain()
    writer.write(head + (b"0\r\n\r\n" if reply.framing == "chunked" else b""))
    return await _end(End.CLOSE, writer)


async def _end(end: End, writer: asyncio.StreamWriter) -> None:
    if end is End.HANG:
        await asyncio.get_running_loop().create_future()  # the caller cancels this
    elif end is End.RESET:
        await writer.drain()
        await asyncio.sleep(_SETTLE_SECONDS)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        writer.transport.abort()
    else:
        writer.close()
        await writer.wait_closed()
