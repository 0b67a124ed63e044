"""The two stores as the campaign sees them: where chats live, what can fail, what may be left.

On Redis the servers share one store, so there is one place for chats, and every server serves it.
A SQLite file is served by one process, so each server has a file of its own: as many places, each
with one server, which is started again on the same file.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from redis.exceptions import RedisError

from durable_llm_streams.errors import RunNotFound, StoreUnavailable
from durable_llm_streams.log import read_all
from durable_llm_streams.model import Run, Status
from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from durable_llm_streams.stores.redis.layout import root
from durable_llm_streams.stores.sqlite import SQLiteView
from tests.redis_faults.oracle import Log
from tests.redis_servers import RedisServer, keys_without_ttl

T = TypeVar("T")

#: A store that can be read again does not take longer.
READ_SECONDS = 60.0

_ALL = 1_000_000
_NEWEST = 500  # far more than begin while one is looked at
_PAUSE = 0.05

#: How the campaign's keys in Redis begin.
PREFIX = "crash"

#: The keys of Redis that stay: names, numbers, and indexes with an entry for each run or chat.
KEPT = re.compile(r"\{crash(:0)?\}:(meta|number|changes|runs|ended|kept|ages|clock)")


class Place(ABC):
    """Where chats live.

    Args:
        servers: the numbers of the servers that serve it.
    """

    def __init__(self, servers: Sequence[int]) -> None:
        self.servers = servers

    @abstractmethod
    async def run(self, chat: str, run_id: str) -> Run:
        """A run, as it is in the store."""

    @abstractmethod
    async def log(self, run_id: str) -> tuple[Log, Status]:
        """A run's log, and the run's status as of its end."""

    @abstractmethod
    async def stored(self, chat: str) -> frozenset[str]:
        """The ids of the runs that a chat has."""

    @abstractmethod
    async def runs(self, *, active: bool = False) -> Sequence[Run]:
        """All runs, newest first, or those that have not ended."""


class Side(ABC):
    """A store with its servers.

    Attributes:
        name: `redis` or `sqlite`.
        head: how its servers stand, a sentence for the report.
        places: where its chats live.
        redis: the process that keeps it, where there is one.
    """

    name: str
    head: str
    places: Sequence[Place]
    redis: RedisServer | None = None

    @abstractmethod
    def address(self, server: int) -> str:
        """`DLS_STORE` of a server."""

    async def written_by(self, pid: int) -> list[Run]:
        """The runs that a process writes, where another one could take them over."""
        del pid
        return []

    async def leftovers(self) -> list[str]:
        """What is there at the end that should not be."""
        return [
            f"The run {run.id} of {run.chat_id} is {run.status}"
            for place in self.places
            for run in await place.runs(active=True)
        ]


class _RedisPlace(Place):
    def __init__(self, servers: Sequence[int], redis: RedisServer, store: RedisStore) -> None:
        super().__init__(servers)
        self._redis = redis
        self._store = store

    async def run(self, chat: str, run_id: str) -> Run:
        return await patiently(lambda: self._store.find_run(None, chat, run_id))

    async def log(self, run_id: str) -> tuple[Log, Status]:
        records, page = await patiently(lambda: read_all(self._store, run_id))
        return Log(records, page.spans), page.status

    async def stored(self, chat: str) -> frozenset[str]:
        key = f"{root(PREFIX, 0)}:keys:{chat}"
        runs = await patiently(lambda: self._redis.command("HVALS", key))
        return frozenset(run.decode() for run in runs)

    async def runs(self, *, active: bool = False) -> Sequence[Run]:
        return await patiently(lambda: self._store.runs(active=active, limit=_ALL))


class RedisSide(Side):
    """Servers over one Redis that syncs every write."""

    name = "redis"
    head = "servers over one Redis (appendfsync always): every chat is served by all of them."

    def __init__(self, redis: RedisServer, store: RedisStore, servers: int) -> None:
        self.redis = redis
        self._server = redis
        self._store = store
        self.places = [_RedisPlace(range(servers), redis, store)]

    def address(self, server: int) -> str:
        return _address(self._server)

    async def written_by(self, pid: int) -> list[Run]:
        runs = await self.places[0].runs(active=True)
        names = await patiently(partial(self._workers, runs))
        return [
            run
            for run, name in zip(runs, names, strict=True)
            if name and int(name.decode().rsplit("-", 2)[1]) == pid  # HOST-PID-RANDOM
        ]

    async def _workers(self, runs: Sequence[Run]) -> list[bytes | None]:
        """The name of each run's worker, if it has one."""
        async with self._server.client() as client, client.pipeline(transaction=False) as pipeline:
            for run in runs:
                pipeline.hget(f"{root(PREFIX, 0)}:run:{run.id}", "worker")
            names: list[bytes | None] = await pipeline.execute()
            return names

    async def leftovers(self) -> list[str]:
        keys = await keys_without_ttl(self._server.url, "")
        stay = [key for key in keys if not KEPT.fullmatch(key)]
        return [*await super().leftovers(), *(f"The key {key} stays for ever" for key in stay)]


class _SQLitePlace(Place):
    """A file, opened for each look: its server is killed meanwhile."""

    def __init__(self, server: int, path: Path) -> None:
        super().__init__([server])
        self.path = path

    async def run(self, chat: str, run_id: str) -> Run:
        for run in await self._of(chat):
            if run.id == run_id:
                return run
        raise RunNotFound(f"There is no run {run_id} of {chat}.")

    async def stored(self, chat: str) -> frozenset[str]:
        return frozenset(run.id for run in await self._of(chat))

    async def log(self, run_id: str) -> tuple[Log, Status]:
        async with self._view() as view:
            records, page = await patiently(lambda: read_all(view, run_id))
            return Log(records, page.spans), page.status

    async def runs(self, *, active: bool = False) -> Sequence[Run]:
        async with self._view() as view:
            return await patiently(lambda: view.runs(active=active, limit=_ALL))

    async def _of(self, chat: str) -> list[Run]:
        async with self._view() as view:
            newest = await patiently(lambda: view.runs(limit=_NEWEST))
        return [run for run in newest if run.chat_id == chat]

    @asynccontextmanager
    async def _view(self) -> AsyncGenerator[SQLiteView, None]:
        view = SQLiteView(self.path)
        try:
            yield view
        finally:
            await view.close()


class SQLiteSide(Side):
    """Servers with a file each."""

    name = "sqlite"
    head = (
        "servers, each with a SQLite file of its own (one process serves a file): a chat is "
        "served by one of them, which is started again on the same file."
    )

    def __init__(self, folder: Path, servers: int) -> None:
        self._paths = [folder / f"chats-{number}.db" for number in range(servers)]
        self.places = [_SQLitePlace(number, path) for number, path in enumerate(self._paths)]

    def address(self, server: int) -> str:
        return f"sqlite:///{self._paths[server]}"


@asynccontextmanager
async def opened_side(name: str, folder: Path, servers: int) -> AsyncGenerator[Side, None]:
    """A store, ready for servers.

    Args:
        name: `redis` or `sqlite`.
        folder: where its data is.
        servers: how many there will be.
    """
    if name == "sqlite":
        yield SQLiteSide(folder, servers)
        return
    redis = RedisServer(folder, appendfsync="always")
    await redis.start()
    try:
        store = RedisStore(RedisAddress.parse(_address(redis)))
        await store.open()
        try:
            yield RedisSide(redis, store, servers)
        finally:
            await store.close()
    finally:
        await redis.kill()


def _address(redis: RedisServer) -> str:
    return f"{redis.url}?prefix={PREFIX}&timeout=2"


async def patiently(call: Callable[[], Awaitable[T]], seconds: float = READ_SECONDS) -> T:
    """Ask a store until it answers."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(StoreUnavailable, RedisError, OSError):
                return await call()
            await asyncio.sleep(_PAUSE)
