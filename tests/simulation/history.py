"""One history: from a seed to what happened in it, and whether a promise broke."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.oracle.evidence import Evidence
from tests.oracle.invariants import violations
from tests.oracle.reader import UnexpectedStatus

from . import workload
from .ageing import Ageing
from .clients import ChatClient, Network
from .collecting import Served, answers, with_delays
from .determinism import determined
from .faults import Faults
from .injected_store import Ledger
from .loop import WORLD, NeverEnds, SimulationLoop, abandon
from .provider import Provider
from .saying import SECRET
from .server import Server, Site
from .sessions import ChatSession
from .sqlite_site import SQLiteSite
from .stuck import Stuck, watched
from .trace import Trace
from .workload import Action, Workload

#: Simulated seconds until everything must have ended after the last fault.
CALM_SECONDS = 400.0
#: Seconds of its own that things go wrong.
FAULT_SECONDS = 12.0
#: Seconds that a reader or a subscriber may wait for what is committed: longer than any fault keeps
#: it, but less than the 15 after which a waiting stream looks by itself.
PATIENCE_SECONDS = 10.0

_BETWEEN_STARTS_SECONDS = 0.05
_MOST_TURNS = 600_000
_HORIZON = 8_000.0


class Log(NamedTuple):
    """What a run has left: its records, and the message in the history."""

    records: list[str]
    message: str


class Outcome(NamedTuple):
    """What became of a history.

    Attributes:
        seed, store: what makes it again.
        breach: which promise broke, and how; None for none.
        trace: what happened.
        happened: the names of all faults and actions, in order; any part of them is a history too.
        counts: how often each kind of them.
        digest: equal for equal histories.
        figures: `turns`, `seconds` of its own, `runs`, `records`, `takeovers`, and ends by status.
        logs: of all its runs, where they were asked for.
    """

    seed: int
    store: str
    breach: str | None
    trace: str
    happened: list[str]
    counts: dict[str, int]
    digest: str
    figures: dict[str, int]
    logs: Sequence[Log] = ()


class Broken(Exception):
    """A promise is broken: `PROMISE: what was expected and what was there`."""


class History:
    """A seed, and what comes of it.

    Args:
        seed: what everything is drawn from.
        store: `sqlite` or `redis`.
        only: the names of what shall happen; None for all that the seed draws.
        folder: an empty one, for files.
    """

    def __init__(self, seed: int, store: str, only: Collection[str] | None, folder: Path) -> None:
        self.seed = seed
        self.store = store
        rng, more, later = (random.Random(f"{seed} {store}{n}") for n in ("", " more", " later"))
        self.site: Site = _site(store, folder, rng)
        self.workload: Workload = workload.draw(
            rng, more, later, self.site.servers, self.site.troubles
        )
        if ageing := self.workload.ageing:
            self.site.retain(ageing.log, ageing.chat)
        self.faults = Faults(rng.getrandbits(32), self.workload.rates, only)
        self.trace = Trace()
        self.owners = {chat.name: chat.owner for chat in self.workload.chats}
        self.ledger = Ledger(self.owners)
        self.provider = Provider(self.faults)
        self.figures: Counter[str] = Counter()
        self.digest = ""
        self.logs: list[Log] = []
        self.rng = rng

    async def live(self) -> None:
        """Everything, from the first start to the last look. Raises Broken."""
        self.site.begin(self.faults, self.trace)
        plan = self.workload
        parts = self.site, self.provider, self.faults, self.ledger, self.trace
        self.servers = [
            Server(name, *parts, plan.limits, plan.on_busy) for name in "ABCDEF"[: plan.servers]
        ]
        self.network = Network(self.servers, self.faults, self.trace)
        if plan.ageing:  # what clocks do while servers start and die cannot be reckoned with
            for server in self.servers:
                server.ahead = 0
        keepers = [asyncio.create_task(self._keep(server)) for server in self.servers]
        sessions = [asyncio.create_task(session.run()) for session in self._sessions()]
        subscribers = [
            asyncio.create_task(self._subscribe(*each), name=each[1].name)
            for each in plan.subscribers
        ]
        incidents = asyncio.create_task(self._incidents())
        await self._all_of(sessions, FAULT_SECONDS)
        incidents.cancel()
        self._calm()
        if not await self._all_of(sessions, CALM_SECONDS):
            raise Broken(f"honest-failure: {self._waiting()} after {CALM_SECONDS:g} s")
        await self._until_quiet()
        served = await self._served()
        for task in (*subscribers, *keepers):
            task.cancel()
        await self.end()
        evidence = await self._evidence(served)
        self._judge(evidence)
        if self.workload.ageing and self.faults.keeps("age", "all", late=True):
            await self._age(Ageing(self, list(evidence.answers.values()), served))
        records = (record for each in evidence.answers.values() for record in each.log.records)
        self.digest = self.trace.digest(records)

    async def _age(self, ageing: Ageing) -> None:
        await ageing.live()
        store = await self.site.reopened()
        evidence = await ageing.evidence()
        await store.close()
        self.site.let_go(WORLD)
        self._judge(replace(evidence, leaks=[*evidence.leaks, *self._leaks()]))

    def _sessions(self) -> list[ChatSession]:
        return [ChatSession(self.network, self.site, chat) for chat in self.workload.chats]

    async def _subscribe(self, owner: str, action: Action) -> None:
        await asyncio.sleep(action.at)
        if self.faults.keeps(action.kind, action.name):
            await ChatClient(self.network, action.name, owner, action.server).subscribe()

    def _waiting(self) -> str:
        """Which clients still wait, for what, and what they were answered last."""
        tasks = {task.get_name() for task in WORLD.tasks}
        tasks -= {action.name for _, action in self.workload.subscribers}
        readings = [each for each in self.network.observed.readings if each.who in tasks]
        told = [
            f"{each.who} waits behind record {each.last}, last answered {each.statuses[-3:]}"
            for each in readings
        ]
        others = tasks - {each.who for each in readings}
        told += [f"{name} waits" for name in sorted(others) if not name.startswith("Task-")]
        return ", ".join(told)

    async def _all_of(self, lives: list[asyncio.Task[None]], seconds: float) -> bool:
        """Whether all tasks end in time. Raises what one of them raises."""
        done, pending = await asyncio.wait(lives, timeout=seconds)
        for life in done:
            life.result()
        return not pending

    async def _keep(self, server: Server) -> None:
        """Start a server, and again whenever it has ended, as an orchestrator does.

        One that cannot start, as while Redis is down, is not started a thousand times a second.
        """
        loop = asyncio.get_running_loop()
        while True:
            soonest = loop.time() + _BETWEEN_STARTS_SECONDS
            server.start()
            await server.ended.wait()
            pause = 0.0 if self.faults.over else self.workload.restart_after
            await asyncio.sleep(max(pause, soonest - loop.time()))

    async def _incidents(self) -> None:
        loop = asyncio.get_running_loop()
        for number, incident in enumerate(sorted(self.workload.incidents, key=lambda i: i.at)):
            await asyncio.sleep(max(0.0, incident.at - loop.time()))
            name = f"of {self.servers[incident.server].name} no. {number}"
            if rng := self.faults.keeps(incident.kind, name):
                if incident.kind == "term":
                    self.servers[incident.server].terminate()
                else:
                    self.site.strike(incident.kind, rng)
                    self.network.observed.tails_lost += incident.kind == "lose-tail"

    def _calm(self) -> None:
        """No further faults are injected; frozen processes continue."""
        self.trace.add("From here on", "there are no faults")
        self.faults.over = True
        self.site.calm()
        for server in self.servers:
            server.process.frozen = False

    async def _until_quiet(self) -> None:
        """Runs without readers end, too."""
        async with asyncio.timeout(CALM_SECONDS):
            while await self.site.active():
                await asyncio.sleep(0.5)
        await asyncio.sleep(10.0)  # a writer after the end has had time to do so

    async def end(self) -> None:
        for server in self.servers:
            server.terminate()
        async with asyncio.timeout(60):
            for server in self.servers:
                if server.alive:
                    await server.ended.wait()
        await asyncio.sleep(5.0)

    async def _served(self) -> Served:
        """What the servers return when everything has ended."""
        owners = {*self.owners.values(), *(owner for owner, _ in self.workload.subscribers)}
        clients = {
            owner: ChatClient(self.network, f"{owner}-looks", owner, 0) for owner in sorted(owners)
        }
        return await Served.by(clients, self.owners)

    async def _evidence(self, served: Served) -> Evidence:
        store = await self.site.reopened()
        found, trees = await answers(store, self.owners)
        await store.close()
        self.site.let_go(WORLD)
        for answer in found:
            served.complete(answer)
            self.figures[f"{answer.run.status}"] += 1
            self.figures["records"] += len(answer.log.records)
            self.figures["takeovers"] += answer.run.takeovers
            records = [record.decode() for record in answer.log.records]
            self.logs.append(Log(records, (answer.message or b"").decode()))
        seen = self.network.observed
        evidence = Evidence(
            answers={answer.run.id: answer for answer in found},
            readings=seen.readings,
            accepted=seen.accepted,
            stops=seen.stops,
            deleted=frozenset(seen.deleted),
            attempts=self.workload.limits.attempts,
            requests=self.provider.requests,
            refused=frozenset(self.provider.refused),
            excused=self.faults.counts["term"] + self.faults.counts["refuse-prefill"],
            lost_tails=self.site.forgotten,
            leaks=self._leaks(),
            faults=self.faults.counts,
            secrets=(SECRET.encode(),),
            patience=PATIENCE_SECONDS,
            pauses=sum((server.pauses for server in self.servers), self.site.pauses),
            owners=self.owners,
            feeds=seen.feeds,
            lists=served.lists,
            trespasses=seen.trespasses,
            sent=seen.sent,
            trees=trees,
        )
        return with_delays(evidence, self.ledger)

    def _leaks(self) -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        leaks = [leak for server in self.servers for leak in server.leaks]
        leaks += self.site.leaks()
        leaks += [
            " ".join(repr(about[key]) for key in ("message", "exception", "task") if key in about)
            for about in loop.complaints
        ]
        me = asyncio.current_task()
        leaks += [f"the task {task.get_name()}" for task in WORLD.tasks if task is not me]
        return leaks

    def _judge(self, evidence: Evidence) -> None:
        if found := violations(evidence):
            raise Broken("\n".join(map(str, found)))


def run(
    seed: int, store: str, only: Collection[str] | None = None, *, with_logs: bool = False
) -> Outcome:
    """Run a history: see `History`, and `Outcome.logs` for `with_logs`."""
    folder = Path(tempfile.mkdtemp(prefix="dls-history-", dir=_memory()))
    try:
        history = History(seed, store, only, folder)
        outcome = _run(history)
        return outcome._replace(logs=history.logs) if with_logs else outcome
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(history: History) -> Outcome:
    rng = history.rng
    loop = SimulationLoop(
        random.Random(rng.getrandbits(32)), most_turns=_MOST_TURNS, horizon=_HORIZON
    )
    breach = None
    with determined(random.Random(rng.getrandbits(32)), history.workload.busy):
        try:
            with watched():
                loop.run_until_complete(history.live())
        except Broken as error:
            breach = str(error)
        except (UnexpectedStatus, NeverEnds, Stuck) as error:
            breach = f"honest-failure: {error}"
        except Exception as error:  # noqa: BLE001 - any exception is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}, line {last.lineno}"
            breach = f"unexpected: {type(error).__name__} in {place}: {error}"
        finally:
            history.site.abandon()
            abandon(loop)
    history.figures["turns"] = loop.turns
    history.figures["seconds"] = round(loop.time())
    history.figures["runs"] = sum(history.figures[s] for s in ("finished", "failed", "stopped"))
    return Outcome(
        seed=history.seed,
        store=history.store,
        breach=breach,
        trace=history.trace.text(),
        happened=history.faults.happened,
        counts=history.faults.counts,
        digest=history.digest,
        figures=history.figures,
    )


def _site(store: str, folder: Path, rng: random.Random) -> Site:
    if store == "redis":
        from .redis_site import RedisSite

        return RedisSite(rng)
    return SQLiteSite(folder, rng)


def _memory() -> Path | None:
    """A folder that costs no disk, where there is one."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() else None
