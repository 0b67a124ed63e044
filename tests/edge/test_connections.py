"""Connections: how many, of whom, and what those cost that do not read. In real processes."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from bench.processes import memory_bytes
from durable_llm_streams.server.edge import EdgeLimits, most_connections
from durable_llm_streams.server.edge.addresses import counted_as, exempt
from durable_llm_streams.server.edge.gate import Gate
from tests.edge.big_answers import BIG
from tests.edge.raw import Raw, statuses
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

MB = 1024 * 1024
BIG_REQUEST = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMALL_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Server(NamedTuple):
    """A running server."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def connect(self, data: bytes = b"") -> Raw:
        """Open a connection with small buffers, and write to it."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
        writer.write(data)
        return Raw(reader, writer)

    def descriptors(self) -> int:
        """How many descriptors the process has."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    async def ask(self, data: bytes = SMALL_REQUEST) -> bytes:
        """The whole response to a request, on a connection of its own."""
        client = await self.connect(data)
        try:
            return await client.rest()
        finally:
            client.writer.transport.abort()


@asynccontextmanager
async def big_answers(
    folder: Path, limits: EdgeLimits, descriptors: int = 4096
) -> AsyncGenerator[Server, None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.edge.big_answers", str(descriptors),
            msgspec.json.encode(limits).decode(), stdout=asyncio.subprocess.PIPE, stderr=output,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Server(process, int(await process.stdout.readline()), log)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def opened(
    server: Server, number: int, data: bytes = b""
) -> AsyncGenerator[Sequence[Raw], None]:
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(number):
            client = await server.connect(data)
            stack.callback(client.writer.transport.abort)
            clients.append(client)
        yield clients


async def open_ones(clients: Sequence[Raw]) -> int:
    """How many the server has not closed; reads what has come."""
    found = 0
    for client in clients:
        try:
            async with asyncio.timeout(0.01):
                while await client.reader.read(65536):
                    pass
        except TimeoutError:
            found += 1
        except ConnectionError:
            pass
    return found


@pytest.mark.parametrize("seconds", [1.0, 60.0], ids=["cut in time", "bounded at once"])
async def test_a_hundred_clients_that_read_nothing_hold_little(
    tmp_path: Path, seconds: float
) -> None:
    limits = EdgeLimits(unread_seconds=seconds, check_seconds=0.1)
    async with big_answers(tmp_path, limits) as server:
        await server.ask(BIG_REQUEST[:-2] + b"Connection: close\r\n\r\n")  # grows the heap
        before, open_before = memory_bytes(server.process.pid), server.descriptors()
        async with opened(server, 100, BIG_REQUEST):
            assert statuses(await server.ask()) == [200]  # behind all of them
            await asyncio.sleep(0.3)
            assert memory_bytes(server.process.pid) - before <= 64 * MB
            if seconds < 60:
                await until(server.descriptors, lambda number: number <= open_before)


async def test_a_client_that_reads_slowly_gets_all_of_a_large_answer(tmp_path: Path) -> None:
    limits = EdgeLimits(unread_seconds=0.3, check_seconds=0.05)
    async with big_answers(tmp_path, limits) as server:
        client = await server.connect(BIG_REQUEST)
        received = 0
        with suppress(TimeoutError):
            while received < BIG:
                async with asyncio.timeout(5):
                    part = await client.reader.read(100_000)
                assert part, received
                received += len(part)
                await asyncio.sleep(0.05)  # many times as long as `unread_seconds` in all
        assert received >= BIG
        client.writer.transport.abort()


async def test_where_descriptors_run_out_all_get_an_answer_and_the_log_a_line(
    tmp_path: Path,
) -> None:
    async with big_answers(tmp_path, EdgeLimits(silent_seconds=3600), descriptors=128) as server:
        assert most_connections(128) == 64
        async with opened(server, 200) as clients:
            answer = await server.ask()
            assert statuses(answer) in ([503], [])
            assert await open_ones(clients) == 64
        await until(server.ask, lambda answer: statuses(answer) == [200])
        lines = server.log.read_text().splitlines()
        assert len(lines) == 1, lines
        assert "LimitNOFILE" in lines[0]


async def test_a_refused_connection_is_told_when_to_come_back(tmp_path: Path) -> None:
    limits = EdgeLimits(silent_seconds=3600)
    async with big_answers(tmp_path, limits, descriptors=48) as server, opened(server, 8):
        answer = await server.ask(b"")
        assert statuses(answer) == [503]
        assert b"retry-after: 5" in answer
        assert b'"type":"urn:durable-llm-streams:too-many-connections"' in answer


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("/run/server.sock", None),
    ],
)
def test_an_address_counts_for_itself_or_for_its_network(address: str, counted: str | None) -> None:
    assert counted_as(address) == counted


class _Connection:
    """A connection that does nothing by itself."""

    due: float | None = None
    moved_at = body_began = 0.0
    unsent = 0


async def test_one_address_has_so_many_connections_and_a_proxy_any(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate(EdgeLimits(connections_per_address=3), exempt("10.0.0.0/8"))
    entered = [gate.enter(f"2001:db8::{number}") for number in range(3)]
    assert [gate.refusal(each, 9) for each in entered] == [None] * 3
    fourth = gate.enter("2001:db8::ffff")
    refused = gate.refusal(fourth, 9)
    assert refused is not None
    assert (refused.status, refused.retry_after) == (429, 10)
    assert "DLS_CONNECTIONS_PER_ADDRESS" in caplog.text
    assert gate.refusal(gate.enter("2001:db8:0:1::1"), 9) is None  # another network
    for address in ("10.1.2.3", "127.0.0.1", None):
        assert [gate.refusal(gate.enter(address), 9) for _ in range(9)] == [None] * 9
    gate.leave(_Connection(), fourth)  # type: ignore[arg-type]
    gate.leave(_Connection(), entered[0])  # type: ignore[arg-type]
    assert gate.refusal(gate.enter("2001:db8::1"), 9) is None


async def test_the_last_descriptors_are_kept_for_the_store_and_the_models() -> None:
    gate = Gate(EdgeLimits(descriptors=100, connections=90))
    assert gate.refusal(gate.enter("203.0.113.7"), 91) is None
    refused = gate.refusal(gate.enter("203.0.113.7"), 92)
    assert refused is not None
    assert refused.status == 503
