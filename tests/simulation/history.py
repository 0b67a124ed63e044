"""One history: from a seed to what happened in it, and whether a promise broke."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from durable_llm_streams.errors import NotFound
from durable_llm_streams.log import read_all
from durable_llm_streams.store import Store

from . import workload
from .chat import ChatLife
from .determinism import determined
from .faults import Faults
from .injected_store import Ledger
from .loop import WORLD, NeverEnds, SimulationLoop, abandon
from .oracles import Evidence, Truth, breaches
from .people import Broken, Town
from .provider import Provider
from .server import Server, Site
from .sqlite_site import SQLiteSite
from .stuck import Stuck, watched
from .trace import Trace
from .workload import Workload

#: Seconds of its own that people may try to get at their answers when nothing goes wrong any more.
CALM_SECONDS = 400.0
#: Seconds of its own that things go wrong.
STORM_SECONDS = 12.0

_MOST_TURNS = 600_000
_HORIZON = 3_000.0


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
        happened: the names of all faults and deeds, in order; any part of them is a history too.
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


class History:
    """A seed coming to life.

    Args:
        seed: what everything is drawn from.
        store: `sqlite` or `redis`.
        only: the names of what shall happen; None for all that the seed draws.
        folder: an empty one, for files.
    """

    def __init__(self, seed: int, store: str, only: Collection[str] | None, folder: Path) -> None:
        self.seed = seed
        self.store = store
        rng = random.Random(f"{seed} {store}")
        self.site: Site = _site(store, folder, rng)
        self.workload: Workload = workload.draw(rng, self.site.servers, self.site.troubles)
        self.faults = Faults(rng.getrandbits(32), self.workload.rates, only)
        self.trace = Trace()
        self.ledger = Ledger()
        self.provider = Provider(self.faults)
        self.figures: Counter[str] = Counter()
        self.digest = ""
        self.logs: list[Log] = []
        self.rng = rng

    async def live(self) -> None:
        """Everything, from the first start to the last look. Raises Broken."""
        self.site.begin(self.faults, self.trace)
        plan = self.workload
        self.servers = [
            Server(
                name,
                self.site,
                self.provider,
                self.faults,
                self.ledger,
                self.trace,
                plan.limits,
                plan.on_busy,
            )
            for name in "ABCDEF"[: plan.servers]
        ]
        self.town = Town(self.servers, self.faults, self.trace)
        keepers = [asyncio.create_task(self._keep(server)) for server in self.servers]
        lives = [
            asyncio.create_task(ChatLife(self.town, self.site, f"c{number}", turns).live())
            for number, turns in enumerate(plan.chats)
        ]
        storm = asyncio.create_task(self._storm())
        await self._all_of(lives, STORM_SECONDS)
        storm.cancel()
        self._calm()
        if not await self._all_of(lives, CALM_SECONDS):
            waiting = sorted(task.get_name() for task in WORLD.tasks)
            raise Broken("honest-failure", f"{', '.join(waiting)} wait for ever")
        await self._until_quiet()
        for keeper in keepers:
            keeper.cancel()
        await self._end()
        self._judge(await self._evidence())

    async def _all_of(self, lives: list[asyncio.Task[None]], seconds: float) -> bool:
        """Whether all lives come to their ends in time. Raises what one of them raises."""
        done, pending = await asyncio.wait(lives, timeout=seconds)
        for life in done:
            life.result()
        return not pending

    async def _keep(self, server: Server) -> None:
        """Start a server, and again whenever it has ended, as an orchestrator does."""
        while True:
            server.start()
            await server.ended.wait()
            await asyncio.sleep(0.0 if self.faults.over else self.workload.restart_after)

    async def _storm(self) -> None:
        loop = asyncio.get_running_loop()
        for number, trouble in enumerate(sorted(self.workload.troubles, key=lambda t: t.at)):
            await asyncio.sleep(max(0.0, trouble.at - loop.time()))
            name = f"of {self.servers[trouble.server].name} no. {number}"
            if rng := self.faults.keeps(trouble.kind, name):
                if trouble.kind == "term":
                    self.servers[trouble.server].terminate()
                else:
                    self.site.strike(trouble.kind, rng)
                    self.town.tails_lost += trouble.kind == "lose-tail"

    def _calm(self) -> None:
        """Nothing goes wrong any more, and what stood still goes on."""
        self.trace.add("From here on", "nothing goes wrong any more")
        self.faults.over = True
        self.site.calm()
        for server in self.servers:
            server.process.frozen = False

    async def _until_quiet(self) -> None:
        """Runs that nobody reads come to their ends, too."""
        async with asyncio.timeout(CALM_SECONDS):
            while await self.site.active():
                await asyncio.sleep(0.5)
        await asyncio.sleep(10.0)  # whoever writes after the end has had the time

    async def _end(self) -> None:
        for server in self.servers:
            server.terminate()
        async with asyncio.timeout(60):
            for server in self.servers:
                if server.alive:
                    await server.ended.wait()
        await asyncio.sleep(5.0)

    async def _evidence(self) -> Evidence:
        store = await self.site.reopened()
        truths = {}
        for run in await store.runs(limit=10_000):
            truths[run.id] = await self._truth(store, run.id, run.chat_id)
            self.figures[f"{truths[run.id].run.status}"] += 1
            self.figures["records"] += len(truths[run.id].records)
            self.figures["takeovers"] += run.takeovers
            self.logs.append(_log(truths[run.id]))
        await store.close()
        self.site.let_go(WORLD)
        self.digest = self.trace.digest(
            record for truth in truths.values() for record in truth.records
        )
        return Evidence(
            truths=truths,
            questions={
                turn.question.name: turn.question for chat in self.workload.chats for turn in chat
            },
            readings=self.town.readings,
            asked=self.town.asked,
            stopped=self.town.stopped,
            deleted=frozenset(self.town.deleted),
            written=self.ledger.written,
            claims=self.ledger.claims,
            attempts=self.workload.limits.attempts,
            requests=self.provider.requests,
            refused=frozenset(self.provider.refused),
            excused=self.faults.counts["term"] + self.faults.counts["refuse-prefill"],
            forgotten=self.site.forgotten,
            leaks=self._leaks(),
            faults=self.faults.counts,
        )

    async def _truth(self, store: Store, run_id: str, chat: str) -> Truth:
        run = await store.find_run(None, chat, run_id)
        records, _ = await read_all(store, run_id)
        try:
            snapshot = await store.snapshot(f"owner-{chat}", chat, run.message_id)
        except NotFound:
            return Truth(run, records, b"")
        bodies = [message.body for message in snapshot.messages if message.id == run.message_id]
        return Truth(run, records, bodies[0] if bodies else b"")

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
        if found := breaches(evidence):
            promise, _, how = "\n".join(found).partition(": ")
            raise Broken(promise, how)


def _log(truth: Truth) -> Log:
    return Log([record.decode() for record in truth.records], truth.message.decode())


def run(
    seed: int, store: str, only: Collection[str] | None = None, *, with_logs: bool = False
) -> Outcome:
    """Live through a history.

    Args:
        seed: what everything is drawn from.
        store: `sqlite` or `redis`.
        only: see `Outcome.happened`.
        with_logs: keep `Outcome.logs`.
    """
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
        except (NeverEnds, Stuck) as error:
            breach = f"honest-failure: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
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
