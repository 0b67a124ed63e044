"""Servers are restarted one after the other, while readers read; then one alone, on a file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp

from ..redis.servers import redis_alone
from ..report import Figure, Outcome
from .readers import Reader, Seen
from .servers import Restart, RollingServer
from .sizes import Size
from .source import RUNGS, model

TARGET_SECONDS: Final = 1.0

_WARM_UP_TOKENS = 30


class Roll:
    """One rolling restart.

    Args:
        size: how much.
        grace: DLS_GRACE of the servers, in seconds.
        store: DLS_STORE; None for a file.
    """

    def __init__(self, size: Size, grace: float, store: str | None) -> None:
        self._size = size
        self._grace = grace
        self._store = store
        self._rolling = True
        self.seen = Seen()
        self.restarts: list[Restart] = []

    async def run(self) -> None:
        """Restart every server once, and see every answer to its end."""
        size, number = self._size, self._size.servers if self._store else 1
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dls-bench-"))
            settings = {
                "DLS_STORE": self._store or f"sqlite:///{folder}/chats.db",
                "DLS_GRACE": str(self._grace),
            }
            tokens = (size.short, size.long)
            servers = [
                RollingServer(Path(folder), size.rate, tokens, settings) for _ in range(number)
            ]
            for server in servers:
                stack.push_async_callback(server.kill)
            await asyncio.gather(*(server.start() for server in servers))
            jar = aiohttp.CookieJar(unsafe=True)
            connector = aiohttp.TCPConnector(limit=0)
            http = await stack.enter_async_context(
                aiohttp.ClientSession(cookie_jar=jar, connector=connector)
            )
            async with http.get(f"{servers[0].url}/api/chats"):
                pass  # the cookie
            await self._under_load(http, servers)

    async def _under_load(
        self, http: aiohttp.ClientSession, servers: Sequence[RollingServer]
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._size.readers):
                tasks.create_task(self._read(http, servers, number))
            await asyncio.sleep(_WARM_UP_TOKENS / self._size.rate)
            for server in servers:
                self.restarts.append(await server.restart())
            self._rolling = False

    async def _read(
        self, http: aiohttp.ClientSession, servers: Sequence[RollingServer], number: int
    ) -> None:
        size = self._size
        turn, first = divmod(number, len(servers))  # each server gets some of every kind
        urls = [server.url for server in (*servers[first:], *servers[:first])]
        reader = Reader(http, urls, f"reader-{number}", 1 / size.rate, self.seen)
        name = model(RUNGS[turn // 2 % 2], (size.short, size.long)[turn % 2])
        await asyncio.sleep(number / size.readers / size.rate)  # they are not in step
        while self._rolling:
            await reader.ask(name)


def run(size: Size) -> Outcome:
    """Measure each grace, on Redis and on a file.

    Raises:
        SystemExit: there is no Redis, or a server did not end in order.
    """
    figures: list[Figure] = []
    faults: list[str] = []
    raw: list[object] = []
    for store in ("Redis", "SQLite"):
        for grace in size.graces:
            rolls = []
            for _ in range(size.repeat):
                roll = _roll(size, grace, on_redis=store == "Redis")
                rolls.append(roll)
                faults += roll.seen.faults
                raw.append({"store": store, "grace": grace, "restarts": roll.restarts})
            number = f"{size.servers} servers" if store == "Redis" else "1 server"
            figures += _figures(f"{store}, {number}, grace {grace:g} s: ", rolls, store)
    return Outcome(name="rolling", figures=figures, faults=faults, raw=raw)


def _roll(size: Size, grace: float, *, on_redis: bool) -> Roll:
    if not on_redis:
        roll = Roll(size, grace, None)
        asyncio.run(roll.run())
        return roll
    with redis_alone() as port:
        roll = Roll(size, grace, f"redis://127.0.0.1:{port}")
        asyncio.run(roll.run())
        return roll


def _figures(at: str, rolls: Sequence[Roll], store: str) -> list[Figure]:
    target = TARGET_SECONDS if store == "Redis" else None
    seconds = {
        "longest gap": [max(roll.seen.gaps) for roll in rolls],
        "p99.9 of all gaps": [_share(roll.seen.gaps, 0.999) for roll in rolls],
        "longest wait for a message to be taken": [max(roll.seen.waits) for roll in rolls],
        "one end": [max(one.ending for one in roll.restarts) for roll in rolls],
        "one start": [max(one.starting for one in roll.restarts) for roll in rolls],
    }
    counts = {
        "answers read": [roll.seen.answers for roll in rolls],
        "finished within the grace": [sum(r.finished for r in roll.restarts) for roll in rolls],
        "handed over": [sum(r.handed_over for r in roll.restarts) for roll in rolls],
        "begun anew": [roll.seen.again for roll in rolls],
        "readers who had to move": [roll.seen.moved for roll in rolls],
    }
    return [
        Figure(
            name=at + name,
            values=values,
            unit="s",
            target=target if name.startswith("longest") else None,
        )
        for name, values in seconds.items()
    ] + [Figure(name=at + name, values=values, unit="") for name, values in counts.items()]


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[round((len(values) - 1) * share)]
