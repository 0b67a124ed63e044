"""A TCP proxy for breaking the network between a client and a server, in the test's event loop."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal, Self

Mode = Literal["pass", "hang", "refuse", "dribble"]


class TcpProxy:
    """Stands before a server: clients connect to `url`. Use it as an async context manager.

    `await set(mode)` says what happens from now on, to open connections too:

    - `pass`: everything arrives.
    - `hang`: all stays open, nothing arrives (later modes let it through again).
    - `refuse`: new connections are refused; open ones continue.
    - `dribble`: downstream one byte at a time.

    `cut()` resets all connections now, `cut_after(size)` when exactly so many more bytes went
    downstream; with `clean=True` the one that brings the last byte ends there as if nothing more
    came (FIN instead of RST). `sent` counts the bytes downstream, `accepted` the connections,
    `open` those now, `cuts` how often something was cut.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.port = self.sent = self.accepted = self.cuts = 0
        self._mode: Mode = "pass"
        self._flowing = asyncio.Event()
        self._cut_at: int | None = None
        self._clean = False
        self._listener: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        return len(self._links)

    async def set(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "hang":
            self._flowing.clear()
        else:
            self._flowing.set()
        if self._listener is not None and mode == "refuse":
            self._listener.close()
            self._listener = None
        elif self._listener is None and mode != "refuse":
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._cut_at = None
        self.cuts += 1
        for writers in self._links.values():
            for writer in writers:
                _reset(writer)

    def cut_after(self, size: int, *, clean: bool = False) -> None:
        self._cut_at = self.sent + size
        self._clean = clean

    async def __aenter__(self) -> Self:
        await self.set("pass")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.set("refuse")
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        writers = [writer]
        link = asyncio.create_task(self._connect(reader, writers))
        self._links[link] = writers
        link.add_done_callback(self._links.pop)

    async def _connect(
        self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]
    ) -> None:
        clean = False
        try:
            await self._flowing.wait()
            upstream, server = await asyncio.open_connection(*self.target)
            writers.append(server)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._carry(reader, server))
                directions.create_task(self._carry_down(upstream, writers[0]))
            clean = True
        except* OSError:
            pass  # one side is gone, so the other one goes too
        finally:
            for writer in writers:
                writer.close() if clean else _reset(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _carry_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # drain: the kernel has all of it
        while data := await reader.read(1 if self._mode == "dribble" else 65536):
            await self._flowing.wait()
            is_last = False  # of the bytes before a cut: decided at once, for others write as well
            if self._cut_at is not None:
                data = data[: self._cut_at - self.sent]
                is_last = self.sent + len(data) == self._cut_at
            if is_last:
                self._cut_at = None
            self.sent += len(data)
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)  # so that others have their turn while it dribbles
            if is_last and not self._clean:
                self.cut()
                return
            if is_last:
                self.cuts += 1
                break
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN; what is closed already stays as it is."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
