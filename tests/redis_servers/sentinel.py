"""A master and a replica under the eyes of three Sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.redis_servers.lifetime import Setup
from tests.redis_servers.server import RedisServer, quoted
from tests.redis_servers.waiting import until_true

#: How fast each Sentinel notices a dead master, in milliseconds; the usual value is 30,000. If all
#: noticed it at once, each would vote for itself, and the next vote would be seconds later.
DOWN_AFTER = (700, 700, 1200)
SENTINELS = len(DOWN_AFTER)
QUORUM = 2

#: Fixed in production, in milliseconds: how often they query and notify each other. A replica
#: is promoted only if it answered within 5 ping periods; it then answers once a second.
PERIODS = ("ping-period", 400, "info-period", 200, "publish-period", 200, "ask-period", 100)


class SentinelSetup(Setup):
    """One service with failover. As an async context manager: all run and have found each other.

    Args:
        folder: where each server gets a folder of its own.
        password: of the user `default` of master and replica; Sentinels ask for none.
        appendfsync: as for `RedisServer`.
        config: more lines of redis.conf for master and replica.

    Attributes:
        service: the name under which clients ask for the master.
        servers: the two with data; `master()` returns which of them is the master.
        sentinels: the three others.
    """

    service = "chats"

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = None,
        appendfsync: str | None = None,
        config: Sequence[str] = (),
    ) -> None:
        self._password = password
        every = [*config, "repl-diskless-sync-delay 0"]
        if password is not None:
            every.append(f"masterauth {quoted(password)}")
        first = RedisServer(folder, password=password, appendfsync=appendfsync, config=every)
        every.append(f"replicaof 127.0.0.1 {first.port}")
        second = RedisServer(folder, password=password, appendfsync=appendfsync, config=every)
        self.servers = (first, second)
        self.sentinels = tuple(
            RedisServer(folder, sentinel=True, config=self._watch(first.port, down_after))
            for down_after in DOWN_AFTER
        )
        super().__init__((*self.servers, *self.sentinels), password)

    @property
    def url(self) -> str:
        """The address of database 0, for our own client."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{self._user}{places}/{self.service}/0"

    async def _start(self) -> None:
        await asyncio.gather(*(server.start() for server in self.servers))
        await until_true("the replica follows", lambda: _follows(self.servers[1]))
        await asyncio.gather(*(sentinel.start() for sentinel in self.sentinels))
        for sentinel in self.sentinels:
            await sentinel.command("SENTINEL", "DEBUG", *PERIODS)
        await until_true("the Sentinels know each other", self._acquainted)

    async def master(self) -> RedisServer:
        """The server that all living Sentinels name, as soon as they name the same one."""
        named: set[int] = set()

        async def agreed() -> bool:
            named.clear()
            named.update(await self._named())
            return len(named) == 1

        await until_true("the Sentinels name the same server", agreed)
        return next(server for server in self.servers if server.port in named)

    async def kill_master(self) -> RedisServer:
        """SIGKILL for the master. Returns it; `failed_over` waits for the new one."""
        master = await self.master()
        await master.kill()
        return master

    async def failed_over(self, old: RedisServer) -> RedisServer:
        """Wait until all Sentinels name another server, and it takes writes. Returns it."""
        (new,) = [server for server in self.servers if server is not old]

        async def is_master() -> bool:
            return (await new.command("ROLE"))[0] == b"master" and await self._named() == {new.port}

        await until_true("another server is the master", is_master)
        return new

    async def settled(self) -> None:
        """Wait until no failover is under way, and all Sentinels name a server that is a master."""

        async def over() -> bool:
            for sentinel in self.sentinels:
                told = await sentinel.command("SENTINEL", "MASTER", self.service)
                if b"failover_in_progress" in told[b"flags"]:
                    return False
            return bool((await (await self.master()).command("ROLE"))[0] == b"master")

        await until_true("the failover is over", over)

    async def replicates(self) -> None:
        """Wait until all Sentinels name one master, see no fault, and the replica follows."""

        async def whole() -> bool:
            named = await self._named()
            if len(named) != 1 or not await self._acquainted():
                return False
            (replica,) = [server for server in self.servers if server.port not in named]
            return await _follows(replica)

        await until_true("the replica follows its master", whole)

    def _watch(self, port: int, down_after: int) -> list[str]:
        name = self.service
        lines = [
            f"sentinel monitor {name} 127.0.0.1 {port} {QUORUM}",
            f"sentinel down-after-milliseconds {name} {down_after}",
            f"sentinel failover-timeout {name} 1000",
        ]
        if self._password is not None:
            lines.append(f"sentinel auth-pass {name} {quoted(self._password)}")
        return lines

    async def _acquainted(self) -> bool:
        for sentinel in self.sentinels:
            told = await sentinel.command("SENTINEL", "MASTER", self.service)
            known = (told[b"flags"], told[b"num-slaves"], told[b"num-other-sentinels"])
            if known != (b"master", b"1", b"%d" % (SENTINELS - 1)):
                return False
        return True

    async def _named(self) -> set[int]:
        """The port of the master, as each living Sentinel has it."""
        living = [sentinel for sentinel in self.sentinels if sentinel.running]
        ask = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        return {int(port) for _, port in [await sentinel.command(*ask) for sentinel in living]}


async def _follows(replica: RedisServer) -> bool:
    role, *rest = await replica.command("ROLE")
    return bool(role == b"slave" and rest[2] == b"connected")
