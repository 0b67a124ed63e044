"""`memory`: what an idle reader costs the server."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack

from .processes import Running, memory_bytes, raise_file_limit, server
from .reader import post
from .report import Figure, Outcome, Scale
from .source import SILENT

TARGET_KB = 16.0

_BASE = 100
_SPARE_FILES = 200
_SETTLE = 1.0
_WAIT = 30.0


def run(scale: Scale) -> Outcome:
    """Open readers by the thousands and look at the server's memory."""
    room = raise_file_limit() - _SPARE_FILES
    followers, starters = (min(number, room) for number in scale.idle)
    with server("durable") as running:
        by_get = _growth(running, followers, by_post=False)
    with server("durable") as running:
        by_post = _growth(running, starters, by_post=True)
    figures = [
        Figure(
            name=f"{followers} readers of one run, by GET: each",
            values=[by_get],
            unit="KB",
            target=TARGET_KB,
        ),
        Figure(
            name=f"{starters} readers by POST, each with its run: each",
            values=[by_post],
            unit="KB",
        ),
    ]
    return Outcome(name="memory", figures=figures)


def _growth(running: Running, number: int, *, by_post: bool) -> float:
    with ExitStack() as connections:

        def open_one(request: bytes) -> bytes:
            connection = socket.create_connection(("127.0.0.1", running.port), timeout=_WAIT)
            connections.enter_context(connection)
            connection.sendall(request)
            answer = b""
            while b": stream-open" not in answer:
                data = connection.recv(4096)
                if not data:
                    raise SystemExit(f"A reader was refused: {answer[:500]!r}")
                answer += data
            return answer

        answer = open_one(post("bench-first", SILENT, b""))
        found = re.search(rb"set-cookie: ([^;\r]+)", answer, re.IGNORECASE)
        assert found is not None
        cookie = found[1]
        get = b"GET /api/chat/bench-first/stream HTTP/1.1\r\nHost: localhost\r\nCookie: %b\r\n\r\n"

        def request(name: str) -> bytes:
            return post(name, SILENT, cookie) if by_post else get % cookie

        for each in range(_BASE):  # what every process has once
            open_one(request(f"base-{each}"))
        time.sleep(_SETTLE)
        before = memory_bytes(running.pid)
        for each in range(number):
            open_one(request(f"bench-{each}"))
        time.sleep(_SETTLE)
        return (memory_bytes(running.pid) - before) / number / 1024
