"""Requests that are too large, too slow or never end; and those that are neither."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path

import pytest
from msgspec import structs

from durable_llm_streams.server.edge import EdgeLimits
from tests.app import App, running_app, user
from tests.edge.conftest import QUICK
from tests.edge.raw import GET, POST, Raw, connected, statuses
from tests.waiting import until

MB = 1024 * 1024
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PADDING = b"x" * 16_384

ENDLESS = {
    "headers": (HEAD, b"A: " + b"y" * 61 + b"\r\n"),
    "header": (HEAD + b"A: ", PADDING),
    "header name": (HEAD, PADDING),
    "address": (b"GET /", PADDING),
    "method": (b"", b"G" * 1024),
    "empty lines": (b"", b"\r\n" * 512),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"A: " + b"y" * 61 + b"\r\n"),
    "trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nA: ", PADDING),
    "chunk extension": (CHUNKED + b"2;", PADDING),
}


def memory() -> int:
    """The most memory that this process had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_never_ends_is_cut_and_costs_no_memory(app: App, kind: str) -> None:
    beginning, piece = ENDLESS[kind]
    before = 0
    for _ in range(2):  # the first one needs memory that is kept for the next
        before = memory()
        async with connected(app, beginning) as client:
            pouring = asyncio.create_task(client.pour(piece, 64 * MB))
            answer = await client.rest()
            sent = await pouring
        assert sent < 16 * MB  # the buffers of both systems
        assert statuses(answer) in ([431], [400], []), answer
    assert memory() - before <= MB
    await until(lambda: not app.server.server_state.connections)
    async with app.guest() as guest:
        assert (await guest.send()).end == "finish"


async def test_a_head_of_the_limit_is_accepted_in_any_pieces_and_no_more(app: App) -> None:
    most = EdgeLimits().head_bytes
    line = b"A: %b\r\n\r\n"
    room = most - len(HEAD) - len(line) + 2
    whole = HEAD + line % (b"y" * room)
    assert len(whole) == most
    answer = b""
    for size, step, status in ((0, most, 200), (0, 1000, 200), (1, most, 431), (1, 1000, 431)):
        head = HEAD + line % (b"y" * (room + size))
        async with connected(app) as client:
            for start in range(0, len(head), step):
                client.writer.write(head[start : start + step])
                await asyncio.sleep(0)
            client.writer.write_eof()
            answer = await client.rest()
            assert statuses(answer) == [status], (size, step)
    assert b"application/problem+json" in answer
    assert b"x-content-type-options: nosniff" in answer


@pytest.mark.parametrize(
    ("beginning", "drip", "status"),
    [
        (b"", b"", []),
        (b"", b"\r\n", []),
        (b"GET / HTT", b"", [408]),
        (HEAD, b"A: b\r\n", [408]),
        (POST + b"Content-Length: 9999\r\n\r\n", b"", [408]),
        (POST + b"Content-Length: 9999\r\n\r\n{", b" ", [408]),
        (CHUNKED, b"1\r\n \r\n", [408]),
        (CHUNKED + b"1\r\n{\r\n0\r\n", b"A: b\r\n", [408]),
        (GET + HEAD, b"", [200]),
        (GET, b"\r\n", [200]),
    ],
)
async def test_a_slow_request_ends_with_its_reason_or_without(
    app: App, beginning: bytes, drip: bytes, status: list[int]
) -> None:
    async with connected(app, beginning) as client:

        async def dripping() -> None:
            while True:
                client.writer.write(drip)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(dripping())
        try:
            answer = await client.rest(5)
        finally:
            task.cancel()
    assert statuses(answer)[: len(status)] == status, answer
    assert statuses(answer)[len(status) :] in ([], [408])
    await until(lambda: not app.server.server_state.connections)


async def test_a_body_that_comes_steadily_may_take_its_time(app: App) -> None:
    body = json.dumps({"id": "c1", "message": user("m1", "x" * 4000)}).encode()
    async with connected(app, POST + b"Content-Length: %d\r\n\r\n" % len(body)) as client:
        for start in range(0, len(body), 200):  # 4,000 bytes a second, for a second
            client.writer.write(body[start : start + 200])
            await asyncio.sleep(0.05)
        assert b" 200 OK" in await client.reader.readline()


async def test_pipelined_requests_are_answered_in_their_order(app: App) -> None:
    number = 60
    heads = b"".join(
        b"GET /nothing/%d HTTP/1.1\r\nHost: localhost\r\nA: %b\r\n\r\n" % (each, b"y" * 1000)
        for each in range(number)
    )
    assert len(heads) > EdgeLimits().head_bytes
    for step in (len(heads), 700):
        async with connected(app) as client:
            for start in range(0, len(heads), step):
                client.writer.write(heads[start : start + step])
                await asyncio.sleep(0)
            client.writer.write(HEAD + b"Connection: close\r\n\r\n")
            answer = await client.rest()
        assert statuses(answer) == [404] * number + [200], step


async def test_a_thousand_requests_at_once_are_too_many(app: App) -> None:
    async with connected(app, GET * 1000) as client:
        assert len(statuses(await client.rest())) < 1000


async def test_a_kept_connection_and_a_stream_outlast_every_limit_of_a_request(
    tmp_path: Path,
) -> None:
    limits = structs.replace(QUICK, head_seconds=0.1, silent_seconds=0.1, body_seconds=0.1)
    async with running_app(tmp_path, edge=limits) as app, app.guest() as guest:
        app.script.hold()
        async with connected(app, GET) as client, await guest.start() as stream:
            assert b" 200 OK" in await client.reader.readline()
            await asyncio.sleep(0.6)
            client.writer.write(HEAD + b"Connection: close\r\n\r\n")
            assert statuses(await client.rest()) == [200]
            app.script.free()
            assert b"[DONE]" in await stream.read()


async def test_half_a_next_request_does_not_end_the_stream_before_it(app: App) -> None:
    app.script.hold()
    body = json.dumps({"id": "c1", "message": user("m1", "Hi")}).encode()
    request = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    async with connected(app, request, HEAD) as client:
        await client.reader.readuntil(b"start")
        await asyncio.sleep(0.8)  # longer than a head may take
        app.script.free()
        answer = await client.rest()
    assert b"[DONE]" in answer
    assert statuses(answer) == [408]


async def test_too_many_bodies_at_once_close_the_oldest(tmp_path: Path) -> None:
    limits = structs.replace(QUICK, held_bytes=300_000, body_seconds=30.0)
    announced = POST + b"Content-Length: 200000\r\n\r\n{"
    async with running_app(tmp_path, edge=limits) as app, app.guest() as guest:
        async with connected(app, announced + b" " * 150_000) as old:
            await until(lambda: bool(app.server.server_state.connections))
            await asyncio.sleep(0.1)
            async with connected(app, announced + b" " * 160_000) as new:
                answer = await old.rest()
                assert statuses(answer) == [503]
                assert b"retry-after: 5" in answer
                assert not new.reader.at_eof()
                assert (await guest.send()).end == "finish"
        for number in range(3, 9):  # what was answered is held no longer
            assert (await guest.send("x" * 50_000, message_id=f"m{number}")).end == "finish"


async def test_a_body_that_says_its_length_is_refused_before_it_comes(app: App) -> None:
    for length in (b"1048577", b"9" * 15):
        async with connected(app, POST + b"Content-Length: " + length + b"\r\n\r\n") as client:
            assert b" 413 " in await client.reader.readline()


@pytest.mark.timeout(120)
async def test_a_thousand_slow_connections_are_closed_within_35_seconds(tmp_path: Path) -> None:
    """With the limits of a real server: the one test that waits for them."""
    slow = (b"", HEAD, POST + b"Content-Length: 9999\r\n\r\n{")
    loop = asyncio.get_running_loop()
    async with running_app(tmp_path, edge=EdgeLimits()) as app:
        clients: list[Raw] = []
        for number in range(1000):
            reader, writer = await asyncio.open_connection(*app.address)
            writer.write(slow[number % 3])
            clients.append(Raw(reader, writer))
        began = loop.time()

        async def dripping(client: Raw, piece: bytes) -> None:
            while not client.writer.transport.is_closing():
                client.writer.write(piece)
                await asyncio.sleep(2)

        pieces = (b"", b"A: b\r\n", b" ")
        drips = [
            asyncio.create_task(dripping(client, pieces[number % 3]))
            for number, client in enumerate(clients)
        ]
        try:
            await asyncio.gather(*(client.rest(60) for client in clients))
        finally:
            for task in drips:
                task.cancel()
            for client in clients:
                client.writer.transport.abort()
        assert loop.time() - began <= 35
