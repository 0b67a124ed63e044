"""The fault injector: does to servers, their network and the store what the plan says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterable, Sequence

from durable_llm_streams.model import Run
from tests.crash.places import Place
from tests.crash.plan import Fault
from tests.crash.servers import CrashServer
from tests.crash.stores import CampaignStore
from tests.crash.trace import Trace

#: So many seconds after the store was away it may still hinder a start.
_AFTERWARDS = 3.0

_KILLED_FROZEN = 5  # one of so many
_LOOK_SECONDS = 0.005


class FaultInjector:
    """The fault injector of a campaign.

    Attributes:
        pauses: times when the store was away, in the loop's time.
    """

    def __init__(
        self,
        store: CampaignStore,
        servers: Sequence[CrashServer],
        trace: Trace,
        *,
        lease: float,
        group: asyncio.TaskGroup,
    ) -> None:
        self._store = store
        self._servers = servers
        self._trace = trace
        self._lease = lease
        self._group = group
        self._lasting: set[asyncio.Task[None]] = set()
        self._store_back = -_AFTERWARDS
        self._store_away = False
        self.pauses: list[tuple[float, float]] = []

    def store_was_away(self, since: float) -> bool:
        """Whether the store was away at a moment since then, in the trace's time."""
        return self._store_away or self._store_back + _AFTERWARDS > since

    async def strike(self, plan: Iterable[Fault], kills: int, over: asyncio.Event) -> None:
        """Inject faults until there were so many kills, or it is over."""
        for fault in plan:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.wait):
                    await over.wait()
            if over.is_set() or self._trace.counts["kills"] >= kills:
                return
            self._do(fault)

    async def end(self) -> None:
        """Wait until every fault is over that lasts."""
        if self._lasting:
            await asyncio.wait(self._lasting)

    def _do(self, fault: Fault) -> None:
        server = self._servers[fault.server]
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
            case _ if not self._store_away:
                self._begin(self._disturb(fault))

    def _awake(self, fault: Fault) -> CrashServer:
        """The server that a kill strikes: most frozen ones are spared, for they shall wake up."""
        server = self._servers[fault.server]
        if server.frozen and fault.size % _KILLED_FROZEN:
            return next((each for each in self._servers if not each.frozen), server)
        return server

    def _begin(self, what: Coroutine[None, None, None]) -> None:
        task = self._group.create_task(what)
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)

    def _end(self, server: CrashServer) -> None:
        if not (server.frozen or server.ending) and server.send(signal.SIGTERM):
            self._trace.counts["planned ends"] += 1

    def _kill(self, server: CrashServer) -> None:
        counts = self._trace.counts
        if server.send(signal.SIGKILL):
            counts["kills"] += 1
            counts["of them while starting"] += not server.is_ready
            counts["of them frozen"] += server.frozen

    async def _freeze(self, server: CrashServer, fault: Fault) -> None:
        counts, pid = self._trace.counts, server.pid
        server.frozen = True
        server.send(signal.SIGSTOP)
        counts["freezes"] += 1
        began = self._trace.now
        place = self._place(server)
        written = await place.written_by(pid)
        self._trace.note(f"{server.name} is frozen and writes {len(written)} runs")
        if fault.clean and written and fault.seconds > self._lease:
            await self._until_taken(place, written, fault.seconds)
        else:
            await asyncio.sleep(fault.seconds)
        taken = sum([await _is_taken(place, run) for run in written])
        if not (server.running and server.pid == pid):
            return  # it was killed meanwhile
        server.frozen = False
        server.send(signal.SIGCONT)
        self._trace.note(f"{server.name} is thawed and has lost {taken} runs")
        counts["thaws after more than a lease"] += self._trace.now - began > self._lease
        counts["zombies: thaws of servers that had lost a run"] += taken > 0
        counts["runs that zombies had lost"] += taken

    async def _until_taken(self, place: Place, written: Sequence[Run], seconds: float) -> None:
        """Wait until another server has claimed one of these runs, for so long at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not any([await _is_taken(place, run) for run in written]):
                    await asyncio.sleep(_LOOK_SECONDS)

    def _place(self, server: CrashServer) -> Place:
        number = self._servers.index(server)
        return next(place for place in self._store.places if number in place.servers)

    def _cut(self, server: CrashServer, fault: Fault) -> None:
        self._trace.note(f"{fault.kind} of the connections to {server.name}")
        if fault.kind == "cut":
            server.proxy.cut()
        else:
            server.proxy.cut_after(fault.size, clean=fault.clean)

    async def _slow_down(self, server: CrashServer, fault: Fault) -> None:
        self._trace.note(f"{fault.kind} before {server.name}", f"network: {fault.kind}s")
        await server.proxy.set("dribble" if fault.kind == "dribble" else "hang")
        await asyncio.sleep(fault.seconds)
        await server.proxy.set("pass")

    async def _disturb(self, fault: Fault) -> None:
        trace, kind = self._trace, fault.kind
        self._store_away = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        trace.note(f"{kind} begins")
        async with self._store.disturbed(kind, fault.size):
            await asyncio.sleep(fault.seconds)
        self._store_away = False
        self._store_back = trace.now
        self.pauses.append((began, loop.time()))
        trace.note(f"{kind} is over", f"{kind}s")


async def _is_taken(place: Place, run: Run) -> bool:
    return (await place.run(run.chat_id, run.id)).epoch != run.epoch
