"""The proxy that other tests break the network with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.tcp_proxy import TcpProxy

LINE = b"0123456789"


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """A proxy before a server that sends back what it gets, until the client is done."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with TcpProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


class Client:
    """One connection to the echo server through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def echo(self, data: bytes) -> bytes:
        self.writer.write(data)
        async with asyncio.timeout(5):
            return await self.reader.readexactly(len(data))


@pytest.fixture
async def client(proxy: TcpProxy) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    yield client
    client.writer.close()


async def test_everything_passes_and_a_clean_end_stays_clean(
    proxy: TcpProxy, client: Client
) -> None:
    size = 3_000_000
    client.writer.write(bytes(size))
    client.writer.write_eof()
    async with asyncio.timeout(10):
        assert len(await client.reader.read(-1)) == size
    assert proxy.sent == size
    assert proxy.accepted == 1


async def test_a_cut_resets_open_connections_and_lets_new_ones_in(
    proxy: TcpProxy, client: Client
) -> None:
    assert await client.echo(LINE) == LINE
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await client.echo(LINE)
    other = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await other.echo(LINE) == LINE
    other.writer.close()


@pytest.mark.parametrize("size", [1, 7, 10, 15, 70_000])
async def test_a_cut_after_some_bytes_lets_exactly_those_through(
    proxy: TcpProxy, client: Client, size: int
) -> None:
    proxy.cut_after(size)
    client.writer.write(LINE * 10_000)
    received = b""
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(5):
            while data := await client.reader.read(65536):
                received += data
    assert proxy.sent == size
    assert (LINE * 10_000).startswith(received)
    assert len(received) <= size


async def test_a_clean_cut_after_some_bytes_looks_like_an_end(
    proxy: TcpProxy, client: Client
) -> None:
    proxy.cut_after(15, clean=True)
    client.writer.write(LINE * 3)
    async with asyncio.timeout(5):
        assert await client.reader.read(-1) == (LINE * 3)[:15]
    assert proxy.cuts == 1
    other = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await other.echo(LINE) == LINE
    other.writer.close()


async def test_nothing_arrives_while_the_network_hangs_and_all_of_it_after(
    proxy: TcpProxy, client: Client
) -> None:
    assert await client.echo(LINE) == LINE
    await proxy.set("hang")
    client.writer.write(LINE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reader.read(1)
    await proxy.set("pass")
    async with asyncio.timeout(5):
        assert await client.reader.readexactly(len(LINE)) == LINE


async def test_while_it_refuses_open_connections_go_on(proxy: TcpProxy, client: Client) -> None:
    assert await client.echo(LINE) == LINE
    await proxy.set("refuse")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await client.echo(LINE) == LINE
    await proxy.set("pass")
    again = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await again.echo(LINE) == LINE
    again.writer.close()


async def test_a_dribble_arrives_whole(proxy: TcpProxy, client: Client) -> None:
    await proxy.set("dribble")
    assert await client.echo(LINE * 50) == LINE * 50


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with TcpProxy(1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5):
                await reader.read(1)
        writer.close()


async def test_a_client_that_leaves_is_forgotten(proxy: TcpProxy, client: Client) -> None:
    assert await client.echo(LINE) == LINE
    assert proxy.open == 1
    client.writer.close()
    async with asyncio.timeout(5):
        while proxy.open:
            await asyncio.sleep(0)
