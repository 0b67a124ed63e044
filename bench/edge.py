"""`edge`: what the limits of connections and the checks of requests cost each request.

`python -m bench.edge KIND` is one of the two servers, started by `dls serve`. `guarded` is the
product; `plain` has uvicorn's own protocol and nothing around the routes.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from durable_llm_streams.cli import serve
from durable_llm_streams.server import create_app
from durable_llm_streams.server.streaming_app import StreamingApp

from .processes import Running, cores, server, usage
from .report import Figure, Outcome, Scale

KINDS: Final = ("plain", "guarded")
TARGET_MICROSECONDS: Final = 15.0

# As a browser sends it: the checks read the headers.
_REQUEST: Final = (
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\nCache-Control: no-cache\r\n"
    b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
    b"Cookie: dls_visitor_12345678=visitor-abcdefghijklmnopqrstuvwx.abcdef.abcdefghijklmnop\r\n\r\n"
)
_PER_SECOND: Final = 1500  # of a window of the scale
_ROUNDS: Final = 40  # short ones in turns: what else the machine does is the same for both


def run(scale: Scale) -> Outcome:
    """Send the same requests to both servers, in turns.

    What else the machine does only adds to a round. So the fastest rounds are compared.
    """
    number = max(100, int(_PER_SECOND * scale.window / _ROUNDS * 4))
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    noise = 0.0
    with ExitStack() as stack:
        running = {kind: stack.enter_context(_server(kind)) for kind in KINDS}
        for kind in KINDS:
            _microseconds(running[kind], number // 4)
        for _ in range(scale.repeat * _ROUNDS):
            for kind in KINDS:
                microseconds, others = _microseconds(running[kind], number)
                spent[kind].append(microseconds)
                noise = max(noise, others)
    figures = [
        Figure(name="CPU of a request, uvicorn alone", values=spent["plain"], unit="us"),
        Figure(name="CPU of a request, with the edge", values=spent["guarded"], unit="us"),
        Figure(
            name="CPU added to a request, fastest rounds",
            values=[min(spent["guarded"]) - min(spent["plain"])], unit="us",
            target=TARGET_MICROSECONDS, noise=noise,
        ),
    ]  # fmt: skip
    return Outcome(name="edge", figures=figures, raw=[spent])


def _server(kind: str) -> Any:
    return server(kind, module="bench.edge")


def _microseconds(running: Running, number: int) -> tuple[float, float]:
    """CPU time of the server for each request on one connection; and the share of others."""
    core = min(cores()[0])
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before = usage(running.pid, core)
        for _ in range(number):
            connection.sendall(_REQUEST)
            answer = connection.recv(4096)
            while answer.startswith(b"HTTP/1.1 200 ") and not answer.endswith(b"ok\n"):
                answer += connection.recv(4096)
            if not answer.endswith(b"ok\n"):
                raise SystemExit(f"The server has answered {answer!r}.")
        used = usage(running.pid, core).since(before)
    return used.cpu / number * 1e6, max(0.0, 1 - used.cpu / used.core) if used.core else 0.0


def main(kind: str) -> None:
    """Serve until the process is killed."""

    def bare_app(*args: Any, **more: Any) -> StreamingApp:
        app = create_app(*args, **more)
        app.outermost = None
        return app

    with ExitStack() as patches:
        if kind == "plain":
            patches.enter_context(patch.object(serve, "create_app", bare_app))
            patches.enter_context(patch.object(serve, "guarded", lambda *_: "httptools"))
        serve.serve()


if __name__ == "__main__":
    os.environ.setdefault("DLS_LOG_LEVEL", "warning")
    main(sys.argv[1])
