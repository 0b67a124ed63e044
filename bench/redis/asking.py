"""One question to a server, over a connection of its own."""

from __future__ import annotations

import re
import socket
import time
from typing import Final, NamedTuple

from ..reader import post
from .servers import Started

_SECONDS: Final = 15.0
_COOKIE: Final = re.compile(rb"set-cookie: ([^;\r]+)", re.IGNORECASE)
_RUN: Final = re.compile(rb"x-run-id: (\w+)", re.IGNORECASE)


class Asked(NamedTuple):
    """What a question led to.

    Attributes:
        seconds: from sending it to receiving what was waited for.
        cookie: for further questions of the same visitor.
        run: its id.
    """

    seconds: float
    cookie: bytes
    run: str


def ask(server: Started, chat: str, model: str, cookie: bytes, *, until: bytes) -> Asked:
    """Ask in a chat, and read the answer until it holds some bytes.

    Raises:
        SystemExit: the question was refused.
    """
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = time.perf_counter()
        connection.sendall(post(chat, model, cookie))
        data = b""
        while until not in data:
            part = connection.recv(65536)
            if not part:
                raise SystemExit(f"A question was refused: {data[:500]!r}")
            data += part
        seconds = time.perf_counter() - asked
    found, run = _COOKIE.search(data), _RUN.search(data)
    assert run is not None
    return Asked(seconds, found[1] if found else cookie, run[1].decode())
