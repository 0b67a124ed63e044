"""`catchup`: a late reader of a long answer, one that has ended and one that is being written.

Measured twice: in this process, from the store's pages to the bytes of the response's body; and
over HTTP, as the CPU time of the server for a whole request.
"""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
import time
from pathlib import Path
from typing import Final

from durable_llm_streams import chunks
from durable_llm_streams.log import Flusher, Reader
from durable_llm_streams.model import Cursor, Status
from durable_llm_streams.runs.ending import end, finished, opening
from durable_llm_streams.server.streams import encode_page
from durable_llm_streams.store import Order, Store
from durable_llm_streams.stores import SQLiteStore
from durable_llm_streams.wire.sse import DONE, FrameEncoder

from .processes import Running, cpu_seconds, server
from .reader import post
from .report import Figure, Outcome, Scale
from .source import ENDED, HELD, LONG
from .tokens import token

TARGET_MS = 5.0
TARGET_BYTES = 1.3

_TEXT: Final = "".join(token(number) for number in range(1, LONG + 1)).encode()
_EVENT_ID = re.compile(rb"id: ([0-9a-z.]+)\n")
_DELTA = re.compile(rb'"delta":"([^"]*)"')
_WAIT = 30.0


def run(scale: Scale) -> Outcome:
    """Measure both kinds of answers both ways."""
    times = 5 * scale.repeat
    figures: list[Figure] = []
    faults: list[str] = []
    for ended in (True, False):
        what = "an ended answer" if ended else "an answer in the making"
        milliseconds, body = asyncio.run(_in_process(times, ended=ended))
        if _text(body) != _TEXT:
            faults.append(f"{what}: the text is not whole.")
        figures += [
            Figure(
                name=f"{what}: read, merge, encode",
                values=milliseconds,
                unit="ms",
                target=TARGET_MS,
            ),
            Figure(
                name=f"{what}: bytes on the wire / its text",
                values=[len(body) / len(_TEXT)],
                target=TARGET_BYTES,
            ),
        ]
        with server("durable") as running:
            milliseconds, whole = _over_http(running, times, ended=ended)
        if not whole:
            faults.append(f"{what}, over HTTP: the text is not whole.")
        figures.append(
            Figure(
                name=f"{what}: the server's CPU for a GET",
                values=milliseconds,
                unit="ms",
                target=TARGET_MS,
            )
        )
    return Outcome(name="catchup", figures=figures, faults=faults)


def _text(body: bytes) -> bytes:
    """What a body's deltas say; these tokens need no escapes."""
    return b"".join(_DELTA.findall(body))


async def _in_process(times: int, *, ended: bool) -> tuple[list[float], bytes]:
    with tempfile.TemporaryDirectory(prefix="dls-bench-") as folder:
        store = SQLiteStore(Path(folder) / "chats.db")
        try:
            run_id = await _write(store, ended=ended)
            taken: list[float] = []
            body = b""
            for _ in range(times):
                before = time.process_time()
                body = await _caught_up(store, run_id)
                taken.append((time.process_time() - before) * 1000)
            return taken, body
        finally:
            await store.close()


async def _write(store: Store, *, ended: bool) -> str:
    order = Order(
        owner="bench", chat_id="bench", place="follow", run_id="0" * 22, answer_id="answer",
        model="bench", now=1, message_id="question", body=b"{}", worker="bench", lease=3600.0,
    )  # fmt: skip
    claim = (await store.runs.send(order)).claim
    assert claim is not None
    flusher = Flusher(store.log, store.pace)
    writer = flusher.writer(claim)
    head = chunks.delta_prefix("text", "p1")
    for record in (*opening(claim.run), chunks.part_start("text", "p1")):
        writer.write(record)
    for number in range(1, LONG + 1):
        writer.write(head + chunks.encode(token(number)) + b"}")
        if number % 5 == 0:
            await writer.drain()
    await writer.drain()
    await flusher.close()
    if ended:
        await end(store.log, claim.run, claim.epoch, Status.FINISHED, finished("stop", {}), 2)
    return claim.run.id


async def _caught_up(store: Store, run_id: str) -> bytes:
    encoder = FrameEncoder(run_id)
    parts: list[bytes] = []
    reader = Reader(store.log, Cursor.beginning(run_id))
    while (page := await reader.read()).records:
        parts.append(encode_page(encoder, page, reader.token))
    return b"".join(parts)


def _over_http(running: Running, times: int, *, ended: bool) -> tuple[list[float], bool]:
    with socket.create_connection(("127.0.0.1", running.port), timeout=_WAIT) as first:
        first.sendall(post("bench", ENDED if ended else HELD, b""))
        answer = _read_text(first, ended=ended)
    head, _, body = answer.partition(b"\r\n\r\n")
    cookie = re.search(rb"set-cookie: ([^;\r]+)", head, re.IGNORECASE)
    cursor = _EVENT_ID.search(body)
    assert cookie is not None
    assert cursor is not None
    taken: list[float] = []
    whole = True
    for _ in range(times):
        before = cpu_seconds(running.pid)
        with socket.create_connection(("127.0.0.1", running.port), timeout=_WAIT) as late:
            late.sendall(
                b"GET /api/chat/bench/stream?after=%b HTTP/1.1\r\n"
                b"Host: localhost\r\nCookie: %b\r\n\r\n" % (cursor[1], cookie[1])
            )
            answer = _read_text(late, ended=ended)
        taken.append((cpu_seconds(running.pid) - before) * 1000)
        whole = whole and _text(answer) == _TEXT
    return taken, whole


def _read_text(connection: socket.socket, *, ended: bool) -> bytes:
    """Everything up to the end of the text, or of the stream."""
    last = DONE if ended else f'{token(LONG)}"}}\n\n'.encode()
    received = bytearray()
    buffer = bytearray(1 << 20)
    while last not in received[-2 * len(last) - 200 :]:
        size = connection.recv_into(buffer)
        if not size:
            raise SystemExit(f"The stream ended early: {bytes(received[-500:])!r}")
        received += buffer[:size]
    return bytes(received)
