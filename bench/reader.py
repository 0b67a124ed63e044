"""The load: many readers in one process that do as little as possible for each byte.

`python -m bench.reader` takes a `Load` as JSON from standard input and prints a `Measured`.

1. Every reader sends one message (which starts a run) and reads its stream.
2. One epoll wait, one `recv_into` a buffer that is kept, one regular expression: that is all that
   a read costs. Numbers must follow each other from 1 on, on every stream, from its first byte to
   the last: a chunk that is lost, doubled or out of order is counted as a fault.
3. One stream in ten carries times, which give the latency: from the making of a token to the
   moment that the reader has it. Clock and sampling cost the same for every server.
4. This process reads what the server has used, at the beginning and the end of the window. So
   chunks and CPU time are of the same time.
"""

from __future__ import annotations

import gc
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Final

import msgspec
from msgspec import Struct

from .processes import Running, Usage, cores, cpu_seconds, usage
from .tokens import NUMBER, NUMBER_AND_TIME, PLAIN, TIMED

_TIMED_ONE_IN = 10
_OPEN_AT_ONCE = 20
_OPEN_SECONDS: Final = 15.0
_END_SECONDS: Final = 30.0
_BUFFER = 1 << 18
_RUN_ID = re.compile(rb"x-run-id: (\w+)", re.IGNORECASE)
_COOKIE = re.compile(rb"set-cookie: ([^;\r]+)", re.IGNORECASE)


class Load(Struct, frozen=True, kw_only=True):
    """What to do.

    Attributes:
        port, pid, core: the server's.
        streams: how many readers, each with a run of its own.
        warm_up, window: seconds.
        kill: whether to kill the server at the window's end and to read what is left.
    """

    port: int
    pid: int
    core: int
    streams: int
    warm_up: float
    window: float
    kill: bool = False


class Measured(Struct, frozen=True, kw_only=True):
    """What was seen in the window, and the faults of the whole time.

    Attributes:
        chunks, reads: in the window; a read is one `recv`.
        used: by the server in the window.
        reader_cpu: seconds of CPU that the readers used in the window.
        latencies: milliseconds at the shares 0.5, 0.9, 0.99, 1.
        faults: streams with a chunk lost, doubled or out of order.
        begun: streams that the server had answered when it was time to begin.
        closed: streams that the server ended.
        last: the last number that each run's reader got, by the run's id.
    """

    chunks: int
    reads: int
    used: Usage
    reader_cpu: float
    latencies: tuple[float, float, float, float]
    faults: int
    begun: int
    closed: int
    last: dict[str, int]

    @property
    def cpu_per_chunk(self) -> float:
        """Microseconds of the server's CPU."""
        return self.used.cpu / max(1, self.chunks) * 1e6

    @property
    def chunks_per_second(self) -> float:
        return self.chunks / self.used.at

    @property
    def foreign(self) -> float:
        """The share of the server's core that other processes used in the window: noise."""
        return max(0.0, self.used.core - self.used.cpu) / self.used.at


def measure(
    running: Running, streams: int, warm_up: float, window: float, *, kill: bool = False
) -> Measured:
    """Put a load on a server, from a process of its own on the other cores."""
    mine, others = cores()
    load = Load(
        port=running.port,
        pid=running.pid,
        core=min(mine),
        streams=streams,
        warm_up=warm_up,
        window=window,
        kill=kill,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        os.sched_setaffinity(process.pid, others)
        answer, _ = process.communicate(msgspec.json.encode(load))
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise SystemExit("The readers failed; see above.")
    return msgspec.json.decode(answer, type=Measured)


class Stream:
    """One reader."""

    __slots__ = ("carry", "last", "receive", "run", "sound", "timed")

    def __init__(self, connection: socket.socket, *, timed: bool) -> None:
        self.receive = connection.recv_into
        self.timed = timed
        self.run = b""
        self.last = 0
        self.carry = b""
        self.sound = True


class Readers:
    """All readers of this process."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._epoll = select.epoll()
        self._buffer = bytearray(_BUFFER)
        self._connections: list[socket.socket] = []
        self._streams: dict[int, Stream] = {}
        self._cookie = b""
        self._begun = 0
        self._closed = 0
        self._chunks = 0
        self._reads = 0
        self._latencies: list[int] = []

    def run(self) -> Measured:
        load = self._load
        self._open()
        self._read_for(load.warm_up)
        self._chunks = self._reads = 0
        self._latencies.clear()
        own, before = cpu_seconds(os.getpid()), usage(load.pid, load.core)
        self._read_for(load.window)
        after = usage(load.pid, load.core)
        measured = self._chunks, self._reads, cpu_seconds(os.getpid()) - own, self._quantiles()
        if load.kill:
            os.kill(load.pid, signal.SIGKILL)
            until = time.monotonic() + _END_SECONDS
            while self._closed < load.streams and time.monotonic() < until:
                self._read(0.1)
        return Measured(
            chunks=measured[0],
            reads=measured[1],
            used=after.since(before),
            reader_cpu=measured[2],
            latencies=measured[3],
            faults=sum(not stream.sound for stream in self._streams.values()),
            closed=self._closed,
            begun=self._begun,
            last={s.run.decode(): s.last for s in self._streams.values() if s.run},
        )

    def _open(self) -> None:
        until = time.monotonic() + _OPEN_SECONDS
        for number in range(self._load.streams):
            self._connect(number)
            if number == 0:
                self._read(_OPEN_SECONDS)  # the cookie is there now
            elif number % _OPEN_AT_ONCE == 0:
                self._read(0.0)
        while self._begun < self._load.streams and time.monotonic() < until:
            if self._closed:
                raise SystemExit(f"{self._closed} streams were closed before all had begun.")
            self._read(0.1)

    def _connect(self, number: int) -> None:
        timed = number % _TIMED_ONE_IN == 0
        connection = socket.create_connection(("127.0.0.1", self._load.port))
        connection.sendall(post(f"bench-{number}", TIMED if timed else PLAIN, self._cookie))
        connection.setblocking(False)
        self._connections.append(connection)
        self._streams[connection.fileno()] = Stream(connection, timed=timed)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _read_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._read(left)

    def _read(self, timeout: float) -> int:
        """Read once what has arrived. Returns how many streams had something."""
        buffer, find = self._buffer, NUMBER.findall
        ready = self._epoll.poll(timeout)
        for number, _ in ready:
            stream = self._streams[number]
            try:
                size = stream.receive(buffer)
            except BlockingIOError:
                continue
            except ConnectionError:
                size = 0
            if not size:
                self._epoll.unregister(number)
                self._closed += 1
                continue
            self._reads += 1
            if stream.timed:
                self._take_timed(stream, size, time.monotonic_ns() // 1000)
            elif stream.carry or buffer[size - 1] != 10 or not stream.run:
                self._take(stream, NUMBER.findall(self._whole(stream, size)))
            else:
                self._take(stream, find(buffer, 0, size))
        return len(ready)

    def _take(self, stream: Stream, numbers: list[bytes]) -> None:
        if not numbers:
            return
        first = stream.last + 1
        count = len(numbers)
        stream.last += count
        self._chunks += count
        if count == 1:
            if int(numbers[0]) == first:
                return
        elif list(map(int, numbers)) == list(range(first, first + count)):
            return
        stream.sound = False

    def _take_timed(self, stream: Stream, size: int, now: int) -> None:
        pairs = NUMBER_AND_TIME.findall(self._whole(stream, size))
        self._take(stream, [number for number, _ in pairs])
        self._latencies.extend(now - int(made) for _, made in pairs)

    def _whole(self, stream: Stream, size: int) -> bytes:
        """What was read, without a token that is cut at its end; that waits for the next read."""
        data = stream.carry + self._buffer[:size]
        stream.carry = b""
        if not stream.run:
            self._take_head(stream, data)
        cut = data.rfind(b"~")
        if cut >= 0 and b" " not in data[cut:]:
            data, stream.carry = data[:cut], data[cut:]
        return data

    def _take_head(self, stream: Stream, data: bytes) -> None:
        self._begun += 1
        run, cookie = _RUN_ID.search(data), _COOKIE.search(data)
        stream.run = run[1] if run else b"none"
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"A stream was refused: {data[:500]!r}")
        if cookie and not self._cookie:
            self._cookie = cookie[1]

    def _quantiles(self) -> tuple[float, float, float, float]:
        found = sorted(self._latencies) or [0]
        last = len(found) - 1
        half, most, nearly, worst = (found[round(last * share)] for share in (0.5, 0.9, 0.99, 1))
        return half / 1000, most / 1000, nearly / 1000, worst / 1000


def post(chat: str, model: str, cookie: bytes) -> bytes:
    """The request that starts a run."""
    body = msgspec.json.encode(
        {
            "id": chat,
            "model": model,
            "message": {
                "id": f"{chat}-1",
                "role": "user",
                "parts": [{"type": "text", "text": "Hello"}],
            },
        }
    )
    return (
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Cookie: %b\r\nContent-Length: %d\r\n\r\n%b" % (cookie, len(body), body)
    )


def main() -> None:
    """Execute the commands on standard input."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(Readers(load).run()))


if __name__ == "__main__":
    main()
