"""A proxy as companies have one: absolute addresses for http, CONNECT for https."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class HttpProxy:
    """Leads every host to one server on this machine. Also an asynchronous context manager.

    Args:
        port: of that server.

    Attributes:
        seen: what was asked for: the first line, and the `Proxy-Authorization` header.
    """

    def __init__(self, port: int) -> None:
        self.seen: list[tuple[str, str]] = []
        self._target = port
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, _, rest = head.partition("\r\n")
            lines = [line for line in rest.split("\r\n") if line]
            fields = dict(line.lower().split(": ", 1) for line in lines)
            self.seen.append((first, fields.get("proxy-authorization", "")))
            method, target, version = first.split(" ")
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                parts = urlsplit(target)
                path = f"{parts.path}?{parts.query}" if parts.query else parts.path
                kept = [line for line in lines if not line.lower().startswith("proxy-")]
                far.write("\r\n".join([f"{method} {path} {version}", *kept, "", ""]).encode())
            await asyncio.gather(_copy(reader, far), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
