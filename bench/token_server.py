"""A provider that costs little: chat-completion streams, one write per token.

`python -m bench.token_server PORT RATE`: every POST is answered with tokens without end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import cast

import uvloop

from .tokens import TIMED, Wheel, token

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_EVENT = (
    'data: {"id":"gen-1758000000-AbCdEfGhIjKlMnOpQrSt","provider":"Bench","model":"bench/model",'
    '"object":"chat.completion.chunk","created":1758000000,"choices":[{"index":0,"delta":'
    '{"role":"assistant","content":"%s"},"finish_reason":null,"native_finish_reason":null,'
    '"logprobs":null}]}\n\n'
)


class Completion(asyncio.Protocol):
    """One connection, one endless answer."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._request = b""
        self._number = 0
        self._timed = False
        self._transport: asyncio.Transport | None = None
        self._leave: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._request += data
        head, found, body = self._request.partition(b"\r\n\r\n")
        if not found or self._leave is not None:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._timed = TIMED.encode() in body
            assert self._transport is not None
            self._transport.write(_HEAD)
            self._leave = self._wheel.join(self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._leave is not None:
            self._leave()

    def _tick(self, micros: int) -> None:
        self._number += 1
        event = (_EVENT % token(self._number, micros if self._timed else None)).encode()
        assert self._transport is not None
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))


async def main(port: int, rate: float) -> None:
    """Serve until the process is killed."""
    wheel = Wheel(rate)
    server = await asyncio.get_running_loop().create_server(
        lambda: Completion(wheel), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
