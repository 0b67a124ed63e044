"""The proxy that other tests break the network with cuts where it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.tcp_proxy import TcpProxy
from tests.waiting import within

TEXT = b"0123456789" * 10_000


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("clean", [False, True], ids=["reset", "end"])
@pytest.mark.parametrize("size", [1, 7, 10, 15, 70_000])
async def test_a_cut_after_some_bytes_lets_exactly_those_through(size: int, clean: bool) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, TcpProxy(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.cut_after(size, clean=clean)
        writer.write(TEXT)
        received, was_reset = b"", False
        async with within("the cut"):
            try:
                while data := await reader.read(65536):
                    received += data
            except ConnectionResetError:
                was_reset = True
        writer.close()
        assert (proxy.sent, proxy.cuts, was_reset) == (size, 1, not clean)
        assert TEXT.startswith(received)
        assert len(received) <= size, "more came through than before the cut"
        assert not clean or len(received) == size, "a clean end lost bytes"
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"x")
        assert await reader.read(1) == b"x", "a new connection is not let in"
        writer.close()
