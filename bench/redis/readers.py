"""The load: readers that start runs at one server and, on request, continue at another.

`python -m bench.redis.readers` takes a `Load` as JSON from standard input. It prints a `Measured`
as a line of JSON for each level, as soon as it is known.

1. A run is begun by a POST to a writer. A live reader stays there. A resumed one closes that
   connection after the first tokens and resumes where it was, at a follower: ours by the cursor of
   the last event, theirs by the number of characters. Numbers continue, too: a chunk that is lost
   or doubled at the change is a fault like any other.
2. Levels are steps of one load: running readers stay, and more are added.
3. The rest is as in `bench.reader`.
"""

from __future__ import annotations

import gc
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ..processes import cpu_seconds, raise_file_limit
from ..reader import Load as BaseLoad
from ..reader import Readers, Stream, post
from ..tokens import NUMBER, PLAIN, TIMED
from .servers import Places, Site, apart

_AT_ONCE = 20
_OPEN_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")
_CURSOR = re.compile(rb"^id: (\S+)$", re.MULTILINE)


class Load(Struct, frozen=True, kw_only=True):
    """What to do.

    Attributes:
        writers, followers: ports; without followers the readers are live.
        by_cursor: whether to resume by cursor (ours), else by characters (theirs).
        pids: the processes whose CPU time counts, by what they are.
        levels: numbers of readers, each with a run of its own, growing.
        timed_every: one reader in so many carries times.
        warm_up, window: seconds at each level.
        limit: milliseconds of p99; no further level is tried when one is above it twice.
    """

    writers: Sequence[int]
    followers: Sequence[int]
    by_cursor: bool
    pids: dict[str, list[int]]
    levels: Sequence[int]
    timed_every: int
    warm_up: float
    window: float
    limit: float | None


class Measured(Struct, frozen=True, kw_only=True):
    """What was seen in the window of a level, and the faults up to then.

    Attributes:
        runs: the level.
        chunks, reads: in the window; a read is one `recv`.
        seconds: of the window.
        cpu: seconds that the measured processes used, by what they are.
        reader_cpu: seconds that the readers used.
        others: the share of the whole machine that other processes used.
        latencies: milliseconds at the shares 0.5, 0.9, 0.99, 1.
        faults: streams with a chunk lost, doubled or out of order, refused or closed.
    """

    runs: int
    chunks: int
    reads: int
    seconds: float
    cpu: dict[str, float]
    reader_cpu: float
    others: float
    latencies: tuple[float, float, float, float]
    faults: int

    @property
    def cpu_per_chunk(self) -> float:
        """Microseconds of the servers and of Redis for a chunk that was read."""
        return sum(self.cpu.values()) / max(1, self.chunks) * 1e6

    @property
    def chunks_per_second(self) -> float:
        return self.chunks / self.seconds

    def share(self, what: str) -> float:
        """Microseconds for a chunk of one kind of process."""
        return self.cpu[what] / max(1, self.chunks) * 1e6


def measure(
    site: Site,
    levels: Sequence[int],
    *,
    warm_up: float,
    window: float,
    timed_every: int = 10,
    limit: float | None = None,
    places: Places | None = None,
) -> Iterator[Measured]:
    """Put a load on a site, from a process of its own; gives each level as soon as it is known."""
    load = Load(
        writers=[server.port for server in site.writers],
        followers=[server.port for server in site.followers],
        by_cursor=site.kind == "ours",
        pids=site.pids,
        levels=levels,
        timed_every=timed_every,
        warm_up=warm_up,
        window=window,
        limit=limit,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.redis.readers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        os.sched_setaffinity(process.pid, (places or apart()).others)
        process.stdin.write(msgspec.json.encode(load))
        process.stdin.close()
        for line in process.stdout:
            yield msgspec.json.decode(line, type=Measured)
        if process.wait() != 0:
            raise SystemExit("The readers failed; see above.")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Crowd(Readers):
    """All readers of this process."""

    def __init__(self, load: Load) -> None:
        super().__init__(BaseLoad(port=0, pid=0, core=0, streams=0, warm_up=0.0, window=0.0))
        self._crowd = load
        self._opened = 0
        self._refused = 0

    def levels(self) -> Iterator[Measured]:
        """Measure level after level, until one is above the limit twice."""
        load = self._crowd
        for level in load.levels:
            self._grow(level)
            first = self._level(level)
            yield first
            if _within(first, load.limit):
                continue
            again = self._level(level)
            yield again
            if not _within(again, load.limit):
                return

    def _level(self, level: int) -> Measured:
        load = self._crowd
        self._read_for(load.warm_up)
        self._chunks = self._reads = 0
        self._latencies.clear()
        before = self._used()
        self._read_for(load.window)
        return self._measured(level, before, self._used())

    def _used(self) -> dict[str, float]:
        return {
            "seconds": time.monotonic(),
            "machine": _machine_seconds(),
            "readers": cpu_seconds(os.getpid()),
            **{
                what: sum(cpu_seconds(pid) for pid in pids)
                for what, pids in self._crowd.pids.items()
            },
        }

    def _measured(self, level: int, before: dict[str, float], after: dict[str, float]) -> Measured:
        used = {what: after[what] - before[what] for what in before}
        seconds, machine, readers = (used.pop(name) for name in ("seconds", "machine", "readers"))
        others = max(0.0, machine - readers - sum(used.values()))
        unsound = sum(not stream.sound for stream in self._streams.values())
        return Measured(
            runs=level,
            chunks=self._chunks,
            reads=self._reads,
            seconds=seconds,
            cpu=used,
            reader_cpu=readers,
            others=others / seconds / (os.cpu_count() or 1),
            latencies=self._quantiles(),
            faults=unsound + self._closed + self._refused,
        )

    def _grow(self, level: int) -> None:
        """Open readers until there are so many, and see each of them answered."""
        begun = self._begun + level - self._opened
        while self._opened < level:
            together = _AT_ONCE if self._opened else 1  # the first request gets the cookie for all
            self._begin(range(self._opened, min(level, self._opened + together)))
            self._read(0.0)
        until = time.monotonic() + _OPEN_SECONDS
        while self._begun < begun and time.monotonic() < until:
            self._read(0.1)

    def _begin(self, numbers: range) -> None:
        load = self._crowd
        started = []
        for number in numbers:
            timed = number % load.timed_every == 0
            port = load.writers[number % len(load.writers)]
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(post(_chat(number), TIMED if timed else PLAIN, self._cookie))
            started.append((number, timed, connection))
            self._opened += 1
            if not load.followers:
                self._follow(connection, timed=timed)
                if number == 0:
                    self._read(_OPEN_SECONDS)  # the cookie is there now
        for number, timed, connection in started if load.followers else ():
            with connection:
                data = self._first_tokens(connection)
            self._resume(number, data, timed=timed)

    def _first_tokens(self, connection: socket.socket) -> bytes:
        """The beginning of an answer, with a token in it, up to the end of an event."""
        data = b""
        connection.settimeout(_OPEN_SECONDS)
        while True:
            part = connection.recv(65536)
            if not part:
                raise SystemExit(f"A stream was refused: {data[:500]!r}")
            data += part
            head, _, body = data.partition(b"\r\n\r\n")
            if not self._cookie:
                self._cookie = _cookie_in(head)
            whole = _unchunked(body)
            whole = whole[: whole.rfind(b"\n\n") + 2] if b"\n\n" in whole else b""
            if b"~" in whole:
                return whole

    def _resume(self, number: int, data: bytes, *, timed: bool) -> None:
        load = self._crowd
        if load.by_cursor:
            place = b"after=" + _CURSOR.findall(data)[-1]
        else:
            place = b"resumeAt=%d" % len(data)
        port = load.followers[number % len(load.followers)]
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(
            b"GET /api/chat/%b/stream?%b HTTP/1.1\r\nHost: localhost\r\nCookie: %b\r\n\r\n"
            % (_chat(number).encode(), place, self._cookie)
        )
        self._follow(connection, timed=timed).last = int(NUMBER.findall(data)[-1])

    def _follow(self, connection: socket.socket, *, timed: bool) -> Stream:
        connection.setblocking(False)
        self._connections.append(connection)
        stream = self._streams[connection.fileno()] = Stream(connection, timed=timed)
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        return stream

    def _take_head(self, stream: Stream, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 200"):
            super()._take_head(stream, data)
        else:
            self._begun += 1
            self._refused += 1
            stream.run = b"refused"


def _within(one: Measured, limit: float | None) -> bool:
    return limit is None or (one.latencies[2] <= limit and one.chunks > 0 and not one.faults)


def _chat(number: int) -> str:
    return f"bench-{number}"


def _cookie_in(head: bytes) -> bytes:
    found = re.search(rb"set-cookie: ([^;\r]+)", head, re.IGNORECASE)
    return found[1] if found else b""


def _unchunked(body: bytes) -> bytes:
    """The whole chunks of a body with `Transfer-Encoding: chunked`."""
    whole = b""
    while True:
        size, found, rest = body.partition(b"\r\n")
        length = int(size, 16) if found else 0
        if not length or len(rest) < length:
            return whole
        whole, body = whole + rest[:length], rest[length + 2 :]


def _machine_seconds() -> float:
    """Seconds that all cores together were busy."""
    values = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    return (sum(map(int, values[:8])) - int(values[3]) - int(values[4])) / _TICKS


def main() -> None:
    """Execute the commands on standard input."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    raise_file_limit()
    gc.disable()
    for measured in Crowd(load).levels():
        sys.stdout.buffer.write(msgspec.json.encode(measured) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
