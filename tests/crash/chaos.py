"""Does what the plan says shall go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterable, Sequence

from durable_llm_streams.model import Run
from tests.crash.chronicle import Chronicle
from tests.crash.plan import Fault, FaultKind
from tests.crash.servers import CrashServer
from tests.crash.stores import Side
from tests.redis_servers import RedisServer

#: After so long a store that was away troubles no start any more, in seconds.
_AFTERWARDS = 3.0

_KILLED_IN_THEIR_SLEEP = 5  # one of so many
_LOOK_SECONDS = 0.005


class Chaos:
    """What goes wrong in a campaign.

    Args:
        side: the store.
        servers: the servers.
        chronicle: is told of everything.
        lease: seconds; who stands still for longer may lose what he writes.
        group: where it runs what lasts.
    """

    def __init__(
        self,
        side: Side,
        servers: Sequence[CrashServer],
        chronicle: Chronicle,
        *,
        lease: float,
        group: asyncio.TaskGroup,
    ) -> None:
        self._side = side
        self._servers = servers
        self._chronicle = chronicle
        self._lease = lease
        self._group = group
        self._going_on: set[asyncio.Task[None]] = set()
        self._store_back = -_AFTERWARDS
        self._store_away = False

    def store_was_away(self, since: float) -> bool:
        """Whether the store was away at a moment since then, in the chronicle's time."""
        return self._store_away or self._store_back + _AFTERWARDS > since

    async def happen(self, plan: Iterable[Fault], kills: int, over: asyncio.Event) -> None:
        """Let it go wrong until there were so many kills, or it is over."""
        for fault in plan:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.wait):
                    await over.wait()
            if over.is_set() or self._chronicle.counts["kills"] >= kills:
                return
            self._do(fault)

    async def end(self) -> None:
        """Let everything that stands still or is cut off go on."""
        if self._going_on:
            await asyncio.wait(self._going_on)

    def _do(self, fault: Fault) -> None:
        server, redis = self._servers[fault.server], self._side.redis
        match fault.kind:
            case "kill":
                self._kill(self._awake(fault))
            case "kill all":
                for each in self._servers:
                    self._kill(each)
            case "end":
                self._end(server)
            case "freeze" | "nap":
                if server.running and not (server.frozen or server.ending):
                    self._begin(self._freeze(server, fault))
            case "cut" | "cut after":
                self._cut(server, fault)
            case "hang" | "dribble":
                self._begin(self._slow_down(server, fault))
            case _ if redis is not None and not self._store_away:
                self._begin(self._disturb(redis, fault))

    def _awake(self, fault: Fault) -> CrashServer:
        """Whom a kill strikes: of those who stand still most live, for they shall wake."""
        server = self._servers[fault.server]
        if server.frozen and fault.size % _KILLED_IN_THEIR_SLEEP:
            return next((each for each in self._servers if not each.frozen), server)
        return server

    def _begin(self, what: Coroutine[None, None, None]) -> None:
        task = self._group.create_task(what)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)

    def _end(self, server: CrashServer) -> None:
        if not (server.frozen or server.ending) and server.send(signal.SIGTERM):
            self._chronicle.counts["planned ends"] += 1

    def _kill(self, server: CrashServer) -> None:
        counts = self._chronicle.counts
        if server.send(signal.SIGKILL):
            counts["kills"] += 1
            counts["of them while starting"] += not server.is_ready
            counts["of them frozen"] += server.frozen

    async def _freeze(self, server: CrashServer, fault: Fault) -> None:
        counts, pid = self._chronicle.counts, server.pid
        server.frozen = True
        server.send(signal.SIGSTOP)
        counts["freezes"] += 1
        began = self._chronicle.now
        written = await self._side.written_by(pid)
        self._chronicle.note(f"{server.name} stands still and writes {len(written)} runs")
        if fault.clean and written and fault.seconds > self._lease:
            await self._until_taken(written, fault.seconds)  # to wake just as another one begins
        else:
            await asyncio.sleep(fault.seconds)
        taken = sum([await self._is_taken(run) for run in written])
        if not (server.running and server.pid == pid):
            return  # it was killed meanwhile
        server.frozen = False
        server.send(signal.SIGCONT)
        self._chronicle.note(f"{server.name} goes on and has lost {taken} runs")
        counts["thaws after more than a lease"] += self._chronicle.now - began > self._lease
        counts["zombies: thaws of who had lost a run"] += taken > 0
        counts["runs that zombies had lost"] += taken

    async def _until_taken(self, written: Sequence[Run], seconds: float) -> None:
        """Wait until another one has claimed one of these runs, so many seconds at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not any([await self._is_taken(run) for run in written]):
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _is_taken(self, run: Run) -> bool:
        return (await self._side.places[0].run(run.chat_id, run.id)).epoch != run.epoch

    def _cut(self, server: CrashServer, fault: Fault) -> None:
        self._chronicle.note(f"{fault.kind} of the connections to {server.name}")
        if fault.kind == "cut":
            server.proxy.cut()
        else:
            server.proxy.cut_after(fault.size, clean=fault.clean)

    async def _slow_down(self, server: CrashServer, fault: Fault) -> None:
        self._chronicle.note(f"{fault.kind} before {server.name}", f"network: {fault.kind}s")
        await server.proxy.set("dribble" if fault.kind == "dribble" else "hang")
        await asyncio.sleep(fault.seconds)
        await server.proxy.set("pass")

    async def _disturb(self, redis: RedisServer, fault: Fault) -> None:
        chronicle, kind = self._chronicle, fault.kind
        self._store_away = True
        chronicle.note(f"{kind}: Redis is away")
        await _take_away(redis, kind)
        await asyncio.sleep(fault.seconds)
        if kind == "store freeze":
            redis.thaw()
        else:
            await redis.start()
        self._store_away = False
        self._store_back = chronicle.now
        chronicle.note(f"{kind}: Redis is back", f"{kind}s")


async def _take_away(redis: RedisServer, kind: FaultKind) -> None:
    if kind == "store freeze":
        redis.freeze()
    elif kind == "store kill":
        await redis.kill()
    else:
        await redis.stop()
