"""A Redis Cluster of three masters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.redis_servers.lifetime import Setup
from tests.redis_servers.ports import unused_port
from tests.redis_servers.server import RedisServer
from tests.redis_servers.waiting import until_true

MASTERS = 3
SLOTS = 16384

#: After so many milliseconds without an answer a node counts as dead; the usual value is 15,000.
NODE_TIMEOUT = 1000


class ClusterSetup(Setup):
    """Three masters without replicas that share all slots. As an async context manager it is ready.

    It takes some two seconds to start: a master takes no writes before that.

    Args:
        folder: where each server gets a folder of its own.
        password: of the user `default` of every server.
        appendfsync: as for `RedisServer`.
        config: more lines of redis.conf for every server.

    Attributes:
        servers: the masters, in the order of their slots.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = None,
        appendfsync: str | None = None,
        config: Sequence[str] = (),
    ) -> None:
        self._bus = [unused_port() for _ in range(MASTERS)]
        self.servers = tuple(
            RedisServer(
                folder,
                password=password,
                appendfsync=appendfsync,
                config=[
                    "cluster-enabled yes",
                    "cluster-announce-ip 127.0.0.1",
                    f"cluster-port {bus}",
                    f"cluster-node-timeout {NODE_TIMEOUT}",
                    *config,
                ],
            )
            for bus in self._bus
        )
        super().__init__(self.servers, password)

    @property
    def url(self) -> str:
        """The address, for our own client."""
        places = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        return f"redis+cluster://{self._user}{places}"

    async def _start(self) -> None:
        await asyncio.gather(*(server.start() for server in self.servers))
        for number, server in enumerate(self.servers):
            first, after = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS
            await server.command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            await server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server, bus in zip(self.servers[1:], self._bus[1:], strict=True):
            await self.servers[0].command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        await self.ready()

    async def ready(self) -> None:
        """Wait until all three are there and every one of them finds the cluster in order."""
        await until_true("the cluster is in order", self._in_order)

    @asynccontextmanager
    async def moving(
        self, slot: int, source: RedisServer, target: RedisServer
    ) -> AsyncGenerator[None, None]:
        """A slot that moves from one master to another while the block runs.

        Half of its keys are moved before the block, the others after it.
        """
        names = [(await server.command("CLUSTER", "MYID")).decode() for server in (source, target)]
        await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
        await self._migrate(slot, source, target, half=True)
        yield
        await self._migrate(slot, source, target, half=False)
        for server in (target, source, *self.servers):
            await server.command("CLUSTER", "SETSLOT", slot, "NODE", names[1])

    async def _migrate(
        self, slot: int, source: RedisServer, target: RedisServer, *, half: bool
    ) -> None:
        keys = await source.command("CLUSTER", "GETKEYSINSLOT", slot, 1_000_000)
        keys = keys[::2] if half else keys
        await source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 60_000, "KEYS", *keys)

    async def _in_order(self) -> bool:
        wanted = {
            "cluster_state": "ok",
            "cluster_slots_ok": str(SLOTS),
            "cluster_size": str(MASTERS),
            "cluster_known_nodes": str(MASTERS),
        }
        for server in self.servers:
            state: dict[str, str] = await server.command("CLUSTER INFO")
            if not wanted.items() <= state.items():
                return False
        return True
