"""Where chats live, and how a rig looks into the store: beside the servers, not through them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from durable_llm_streams.errors import RunNotFound, StoreUnavailable
from durable_llm_streams.log import read_all
from durable_llm_streams.model import Run
from durable_llm_streams.stores.redis import RedisStore
from durable_llm_streams.stores.redis.client.errors import RedisError
from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.stores.sqlite import SQLiteView
from tests.oracle.evidence import Log
from tests.waiting import within

T = TypeVar("T")

_ALL = 1_000_000
_NEWEST = 500  # far more than begin while one is looked at
_PAUSE = 0.05

_WORKER = Script(
    "worker", "return redis.call('HGET', KEYS[1] .. ':run:' .. ARGV[1], 'worker') or ''"
)


class Place(ABC):
    """Where chats live."""

    def __init__(self, servers: Sequence[int]) -> None:
        self.servers = servers

    @abstractmethod
    async def run(self, chat: str, run_id: str) -> Run:
        """A run, as it is in the store."""

    @abstractmethod
    async def log(self, run_id: str) -> Log:
        """A run's log."""

    @abstractmethod
    async def runs(self, *, active: bool = False) -> Sequence[Run]:
        """All runs, newest first, or those that have not ended."""

    async def written_by(self, pid: int) -> list[Run]:
        """The runs that a process writes, where another one could take them over."""
        del pid
        return []


class RedisPlace(Place):
    """A store in Redis, which all servers share."""

    def __init__(self, servers: Sequence[int], store: RedisStore) -> None:
        super().__init__(servers)
        self.store = store

    async def run(self, chat: str, run_id: str) -> Run:
        return await patiently(lambda: self.store.operators.any_run(run_id))

    async def log(self, run_id: str) -> Log:
        records, page = await patiently(lambda: read_all(self.store.log, run_id))
        return Log(records, page.spans)

    async def runs(self, *, active: bool = False) -> Sequence[Run]:
        return await patiently(lambda: self.store.operators.newest(active=active, limit=_ALL))

    async def written_by(self, pid: int) -> list[Run]:
        return [run for run in await self.runs(active=True) if await self.writer(run) == pid]

    async def writer(self, run: Run) -> int:
        """The process that writes a run; 0 for none."""
        partition = self.store._partitions.of_chat(run.owner, run.chat_id)
        name = await patiently(lambda: partition.call(_WORKER, run.id))
        return int(name.decode().rsplit("-", 2)[1]) if name else 0  # HOST-PID-RANDOM


class SQLitePlace(Place):
    """A file, opened for each look: its server is killed meanwhile."""

    def __init__(self, server: int, path: Path) -> None:
        super().__init__([server])
        self.path = path

    async def run(self, chat: str, run_id: str) -> Run:
        async with self._view() as view:
            newest = await patiently(lambda: view.newest(limit=_NEWEST))
        for run in newest:
            if (run.chat_id, run.id) == (chat, run_id):
                return run
        raise RunNotFound(f"There is no run {run_id} of {chat}.")

    async def log(self, run_id: str) -> Log:
        async with self._view() as view:
            records, page = await patiently(lambda: read_all(view, run_id))
            return Log(records, page.spans)

    async def runs(self, *, active: bool = False) -> Sequence[Run]:
        async with self._view() as view:
            return await patiently(lambda: view.newest(active=active, limit=_ALL))

    @asynccontextmanager
    async def _view(self) -> AsyncGenerator[SQLiteView, None]:
        view = SQLiteView(self.path)
        try:
            yield view
        finally:
            await view.close()


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    last: list[Exception] = []
    async with within("the store to answer", lambda: last):
        while True:
            try:
                return await call()
            except (StoreUnavailable, RedisError, OSError) as error:
                last = [error]
            await asyncio.sleep(_PAUSE)
