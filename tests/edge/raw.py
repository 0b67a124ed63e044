"""Clients that write bytes as they like, and see what comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.app import App

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Raw(NamedTuple):
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self, seconds: float = 20.0) -> bytes:
        """What comes until the server closes; a reset is an end too."""
        found = b""
        async with asyncio.timeout(seconds):
            try:
                while part := await self.reader.read(65536):
                    found += part
            except ConnectionError:
                pass
        return found

    async def pour(self, piece: bytes, most: int) -> int:
        """Write a piece until the server takes no more. Returns how many bytes it took."""
        sent = 0
        try:
            while sent < most:
                self.writer.write(piece)
                async with asyncio.timeout(1.0):
                    await self.writer.drain()
                sent += len(piece)
        except (ConnectionError, TimeoutError):
            pass
        return sent


@asynccontextmanager
async def connected(app: App, *data: bytes) -> AsyncGenerator[Raw, None]:
    """A connection on which something was written."""
    reader, writer = await asyncio.open_connection(*app.address)
    try:
        for each in data:
            writer.write(each)
        await writer.drain()
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def statuses(answer: bytes) -> list[int]:
    """The status codes of the responses, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
