"""The stores that a campaign runs over: where chats live, what can fail, what may be left.

Every fault of a store that stands here loses nothing that was acknowledged: files are synced at
every write, and a master dies only when its replica has all of it. So the invariants need no
exception. `test_failover` and `test_outages` lose the last writes on purpose.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from tests.crash.places import Place, RedisPlace, SQLitePlace
from tests.crash.plan import FaultKind
from tests.redis_servers import ClusterSetup, RedisServer, SentinelSetup, keys_without_ttl
from tests.redis_servers.waiting import until_true

#: How the campaign's keys in Redis begin, and how long a call may take.
OPTIONS: Final = "prefix=crash&timeout=2"

#: The keys that stay: names, numbers, and indexes with an entry for each run or chat.
KEPT: Final = re.compile(r"\{\w+\}:meta|\{\w+:\d+\}:(ages|changes|clock|ended|kept|number|runs)")

_CUT_SECONDS = 0.1
_PAUSE_MILLISECONDS = 120_000


class CampaignStore(ABC):
    """A store that a campaign runs over."""

    name: str
    setup: str
    weights: Mapping[FaultKind, int] = {}
    places: Sequence[Place]

    @abstractmethod
    def address(self, server: int) -> str:
        """`DLS_STORE` of a server."""

    def disturbed(self, kind: FaultKind, pick: int) -> AbstractAsyncContextManager[None]:
        """A fault of the store itself. It is over when the block has ended."""
        raise NotImplementedError(f"{self.name} has no {kind} of node {pick}")

    async def leftovers(self) -> list[str]:
        """What is there at the end that should not be."""
        return [
            f"The run {run.id} of {run.chat_id} is {run.status}"
            for place in self.places
            for run in await place.runs(active=True)
        ]


class SQLiteFiles(CampaignStore):
    """A file for each server."""

    name = "sqlite"
    setup = (
        "servers, each with a SQLite file of its own (one process serves a file): a chat is "
        "served by one of them, which is started again on the same file."
    )

    def __init__(self, folder: Path, servers: int) -> None:
        self._paths = [folder / f"chats-{number}.db" for number in range(servers)]
        self.places = [SQLitePlace(number, path) for number, path in enumerate(self._paths)]

    def address(self, server: int) -> str:
        return f"sqlite:///{self._paths[server]}"


class RedisFamily(CampaignStore):
    """What all kinds of Redis share."""

    def __init__(self, url: str, store: RedisStore, servers: int) -> None:
        self._url = url
        self.places = [RedisPlace(range(servers), store)]

    def address(self, server: int) -> str:
        return self._url

    @property
    @abstractmethod
    def nodes(self) -> Sequence[RedisServer]:
        """The Redis servers that hold data."""

    @abstractmethod
    def broken(self, kind: FaultKind, pick: int) -> AbstractAsyncContextManager[None]:
        """See `disturbed`; everything but cut connections."""

    @asynccontextmanager
    async def disturbed(self, kind: FaultKind, pick: int) -> AsyncGenerator[None, None]:
        if kind == "store cut":
            of = ("pubsub", "normal")[pick % 2]  # a subscription without its calls, or them
            over = asyncio.Event()  # redis-py may swallow a cancellation
            cutting = asyncio.create_task(self._cut(of, over))
            yield
            over.set()
            await cutting
        else:
            async with self.broken(kind, pick):
                yield

    async def _cut(self, kind: str, over: asyncio.Event) -> None:
        """Cut connections again and again: clients come back at once."""
        while not over.is_set():
            for node in self.nodes:
                await node.command("CLIENT", "KILL", "TYPE", kind)
            await asyncio.sleep(_CUT_SECONDS)

    async def leftovers(self) -> list[str]:
        keys = [key for node in self.nodes for key in await keys_without_ttl(node.url, "")]
        stay = sorted({key for key in keys if not KEPT.fullmatch(key)})
        return [*await super().leftovers(), *(f"The key {key} stays for ever" for key in stay)]


class OneRedis(RedisFamily):
    """One Redis that syncs every write."""

    name = "redis"
    setup = "servers over one Redis (appendfsync always): every chat is served by all of them."
    weights: Mapping[FaultKind, int] = {
        "store kill": 4,
        "store end": 2,
        "store freeze": 2,
        "store cut": 16,
    }

    def __init__(self, redis: RedisServer, url: str, store: RedisStore, servers: int) -> None:
        super().__init__(url, store, servers)
        self._redis = redis

    @property
    def nodes(self) -> Sequence[RedisServer]:
        return [self._redis]

    def broken(self, kind: FaultKind, pick: int) -> AbstractAsyncContextManager[None]:
        return broken_node(self._redis, kind)


class Cluster(RedisFamily):
    """Three masters that sync every write. Without one of them, the others refuse to write."""

    name = "cluster"
    setup = "servers over a Redis Cluster of three masters (appendfsync always), 16 partitions."
    weights: Mapping[FaultKind, int] = {
        "store kill": 12,
        "store end": 6,
        "store freeze": 6,
        "store cut": 14,
    }

    def __init__(self, cluster: ClusterSetup, url: str, store: RedisStore, servers: int) -> None:
        super().__init__(url, store, servers)
        self._cluster = cluster

    @property
    def nodes(self) -> Sequence[RedisServer]:
        return self._cluster.servers

    @asynccontextmanager
    async def broken(self, kind: FaultKind, pick: int) -> AsyncGenerator[None, None]:
        async with broken_node(self.nodes[pick % len(self.nodes)], kind):
            yield
        await self._cluster.ready()


class Sentinel(RedisFamily):
    """A master and its replica under three Sentinels."""

    name = "sentinel"
    setup = "servers over a master and a replica under three Sentinels (appendfsync always)."
    weights: Mapping[FaultKind, int] = {
        "store kill": 12,
        "store end": 4,
        "store freeze": 6,
        "store cut": 14,
        "sentinel kill": 4,
    }

    def __init__(self, setup: SentinelSetup, url: str, store: RedisStore, servers: int) -> None:
        super().__init__(url, store, servers)
        self._sentinels = setup

    @property
    def nodes(self) -> Sequence[RedisServer]:
        return self._sentinels.servers

    @asynccontextmanager
    async def broken(self, kind: FaultKind, pick: int) -> AsyncGenerator[None, None]:
        sentinels = self._sentinels
        if kind == "sentinel kill":
            async with broken_node(sentinels.sentinels[pick % len(sentinels.sentinels)], kind):
                yield
            return
        master = await sentinels.master()
        (replica,) = (node for node in self.nodes if node is not master)
        if kind == "store end":  # of the replica
            async with broken_node(replica, kind):
                yield
            await sentinels.replicates()
            return
        # No write is acknowledged that the replica has not: the new master has everything.
        await master.command("CLIENT", "PAUSE", _PAUSE_MILLISECONDS, "WRITE")
        await _has_all_of(replica, master)
        async with broken_node(master, kind):
            yield
            if kind == "store kill":
                await sentinels.failed_over(master)
        if kind == "store freeze":
            # While it is paused the Sentinels' own messages wait in it, and they cannot demote it.
            await sentinels.settled()
            if (new := await sentinels.master()) is not master:
                await master.command("REPLICAOF", "127.0.0.1", new.port)
            await master.command("CLIENT", "UNPAUSE")
        await sentinels.replicates()


async def _has_all_of(replica: RedisServer, master: RedisServer) -> None:
    written = (await master.command("INFO", "replication"))["master_repl_offset"]

    async def received() -> bool:
        state = await replica.command("INFO", "replication")
        return bool(state.get("slave_repl_offset", 0) >= written)

    await until_true("the replica has what its master has", received)


@asynccontextmanager
async def broken_node(node: RedisServer, kind: FaultKind) -> AsyncGenerator[None, None]:
    """One Redis process that is killed, terminated or frozen until the block ends."""
    if kind == "store freeze":
        node.freeze()
        try:
            yield
        finally:
            node.thaw()
        return
    await (node.stop() if kind == "store end" else node.kill())
    yield
    await node.start()


KINDS: Final = ("redis", "sqlite", "sentinel", "cluster")


@asynccontextmanager
async def opened_store(
    name: str, folder: Path, servers: int
) -> AsyncGenerator[CampaignStore, None]:
    """A store, ready for servers."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "sqlite":
        yield SQLiteFiles(folder, servers)
        return
    setups = {"redis": RedisServer, "sentinel": SentinelSetup, "cluster": ClusterSetup}
    async with setups[name](folder, appendfsync="always") as setup:
        url = f"{setup.url}?{OPTIONS}"
        store = RedisStore(RedisAddress.parse(url))
        try:
            await store.open()
            if isinstance(setup, RedisServer):
                yield OneRedis(setup, url, store, servers)
            elif isinstance(setup, ClusterSetup):
                yield Cluster(setup, url, store, servers)
            else:
                yield Sentinel(setup, url, store, servers)
        finally:
            await store.close()
