"""`calls`: the CPU time that a call costs our Redis client, and redis-py's.

Each client runs in a process of its own with uvloop, on one core; Redis has the others. Many
callers share the client; each calls again as soon as it has its reply. A call runs a script with
one key and 64 bytes. Clients are measured in turns; a ratio is made within a pair.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import uvloop
from redis.asyncio import Redis

from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.client.script import Script

from ..report import Figure
from .book import Book
from .servers import apart, redis_alone
from .sizes import Size

Call = Callable[[], Awaitable[Any]]

OURS, THEIRS = "ours", "redis-py"
AT_ONCE: Final = (1, 500)
TARGET: Final = 0.5

_SCRIPT: Final = Script("bench", "return ARGV[1]")
_VALUE: Final = b"x" * 64
_WARM_UP: Final = 0.2


def calls(book: Book, size: Size) -> Iterator[Figure]:
    """Measure one call at a time, and many at once."""
    with redis_alone() as port:
        for at_once in AT_ONCE:
            pairs = []
            for turn in range(max(2, size.repeat)):
                clients = (OURS, THEIRS) if turn % 2 else (THEIRS, OURS)
                found = {name: _measured(name, port, at_once, size.window / 2) for name in clients}
                book.say(f"calls, {at_once} at once: " + json.dumps(found))
                pairs.append((found[OURS], found[THEIRS]))
            book.raw.append({"what": "calls", "at_once": at_once, "microseconds": pairs})
            at = f"{at_once} calls at once"
            yield Figure(
                name=f"{at}: CPU of a call, ours / redis-py",
                values=[ours / theirs for ours, theirs in pairs],
                target=TARGET,
            )
            yield Figure(
                name=f"{at}: CPU of a call, ours", values=[ours for ours, _ in pairs], unit="us"
            )


def _measured(client: str, port: int, at_once: int, seconds: float) -> float:
    """Microseconds of CPU for a call, in a process of its own."""
    command = [sys.executable, "-m", "bench.redis.calls", client, str(port), str(at_once)]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, apart().servers)
    try:
        done = subprocess.run([*command, str(seconds)], capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise SystemExit(f"The client {client} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout)


async def _main(client: str, port: int, at_once: int, seconds: float) -> None:
    call, close = _ours(port) if client == OURS else _theirs(port)
    await _count_calls(call, at_once, _WARM_UP)
    begun = time.process_time()
    count = await _count_calls(call, at_once, seconds)
    print((time.process_time() - begun) / count * 1e6)
    await close()


async def _count_calls(call: Call, at_once: int, seconds: float) -> int:
    """Call until the time is over. Returns how often."""
    until = time.monotonic() + seconds
    count = 0

    async def caller() -> None:
        nonlocal count
        while time.monotonic() < until:
            await call()
            count += 1

    await asyncio.gather(*[caller() for _ in range(at_once)])
    return count


def _ours(port: int) -> tuple[Call, Call]:
    database = Database(RedisAddress.parse(f"redis://127.0.0.1:{port}"))

    async def call() -> Any:
        return await database.call(_SCRIPT, ["key"], [_VALUE])

    return call, database.close


def _theirs(port: int) -> tuple[Call, Call]:
    client = Redis(port=port, max_connections=max(AT_ONCE))  # it takes one for each call
    script = client.register_script(_SCRIPT.text)

    async def call() -> Any:
        return await script(keys=["key"], args=[_VALUE])

    return call, client.aclose


if __name__ == "__main__":
    _, name, port, at_once, seconds = sys.argv
    uvloop.run(_main(name, int(port), int(at_once), float(seconds)))
