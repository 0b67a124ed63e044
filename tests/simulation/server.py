"""A server: one process after the other runs the whole product, but for the sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from starlette.requests import HTTPConnection

from durable_llm_streams.errors import StoreError
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.server import OfferedModel, ServerConfig, create_app
from durable_llm_streams.server.principal import Principal
from durable_llm_streams.server.state import AppState
from durable_llm_streams.source import Source
from durable_llm_streams.store import Store

from .exchange import Application, Exchange
from .faults import Faults, Scheduled
from .injected_store import InjectedStore, Ledger
from .loop import WORLD, Process
from .provider import MODELS, Provider
from .trace import Trace

_LAST_TURNS = 5
_GRACEFUL_SECONDS = 3.0  # as `dls serve` configures uvicorn


class Site(Protocol):
    """Where the data are, for all processes."""

    servers: int  # how many may live at once
    troubles: tuple[str, ...]  # what can happen to the store by itself

    forgotten: list[dict[str, Sequence[bytes]]]  # the logs as they were before each loss
    pauses: list[tuple[float, float]]  # (begin, end): calls of a process were held up

    def begin(self, faults: Faults, trace: Trace) -> None:
        """The history begins."""

    def retain(self, log_age: float, chat_age: float) -> None:
        """How many seconds logs and chats are kept; chats 0: for ever."""

    async def kept(self) -> list[str]:
        """What the store has of chats and logs, after `reopened`."""

    async def open(self, process: Process) -> Store:
        """A store for a process."""

    def let_go(self, process: Process) -> None:
        """A process has closed its store in order."""

    def killed(self, process: Process) -> None:
        """A process is dead, and all that it held is cut."""

    def strike(self, kind: str, rng: random.Random) -> None:
        """One of its troubles happens now."""

    def calm(self) -> None:
        """The store works again."""

    def length(self, run_id: str) -> int | None:
        """How many records a run's log has now; None while the store cannot be read."""

    async def active(self) -> bool:
        """Whether any run is not at its end, as far as one can see."""

    async def reopened(self) -> Store:
        """The store as it is when all processes have ended."""

    def abandon(self) -> None:
        """The history is over, in any state; close files."""

    def leaks(self) -> list[str]:
        """What is still there that should not, at the end."""


class Server:
    """One of the servers: its processes come and go.

    Attributes:
        process: the one that is or was the last.
        application: what answers requests now, if anything does.
        limits: of the next process.
        ahead: of the next process's clock, in milliseconds; None: drawn.
        exchanges: requests that it has not answered to the end.
        pauses: when it stood still, in the loop's time.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        provider: Provider,
        faults: Faults,
        ledger: Ledger,
        trace: Trace,
        limits: Limits,
        on_busy: str,
    ) -> None:
        self.name = name
        self.process = WORLD
        self.application: Application | None = None
        self.exchanges: dict[asyncio.Task[None], Exchange] = {}
        self.ended = asyncio.Event()
        self.leaks: list[str] = []
        self.pauses: list[tuple[float, float]] = []
        self._site = site
        self._provider = provider
        self._faults = faults
        self._ledger = ledger
        self._trace = trace
        self.limits = limits
        self.ahead: int | None = None
        self._config = ServerConfig(
            models=[OfferedModel(model, model) for model in MODELS],
            on_busy=on_busy,  # type: ignore[arg-type]
        )
        self._lives = 0
        self._told_to_end = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._lives > 0 and not self.ended.is_set()

    def start(self) -> None:
        self._lives += 1
        process = self.process = Process(f"{self.name}{self._lives}")
        rng = self._faults.rng(f"clock {process.name}")
        drawn = rng.choice((0, 0, 0, rng.randrange(-5000, 5000), 3_600_000))
        process.ahead = drawn if self.ahead is None else self.ahead
        self.ended, self._told_to_end = asyncio.Event(), asyncio.Event()
        self._told_to_end.clear()
        for scheduled in self._faults.schedule(process.name):
            process.schedule.append((scheduled.turn, partial(self._strike, process, scheduled)))
        ahead = f", its clock {process.ahead / 1000:+} s" if process.ahead else ""
        self._trace.add(process.name, f"starts{ahead}")
        main = process.spawn(self._serve(process), f"main of {process.name}")
        main.add_done_callback(partial(self._exited, process), context=WORLD.context)

    def kill(self) -> None:
        process = self.process
        if process.dead or self.ended.is_set():
            return
        self._trace.add(process.name, "is killed")
        process.kill()
        self._site.killed(process)
        self._gone()

    def freeze(self, seconds: float) -> None:
        process = self.process
        if process.frozen or not self.alive:
            return
        self._trace.add(process.name, f"freezes for {seconds:.2f} s")
        process.frozen = True
        loop = asyncio.get_running_loop()
        self.pauses.append((loop.time(), loop.time() + seconds))
        loop.call_later(seconds, self._thaw, process, context=WORLD.context)

    def terminate(self) -> None:
        if self.alive:
            self._trace.add(self.process.name, "gets SIGTERM")
            self.process.context.run(self._told_to_end.set)

    def _thaw(self, process: Process) -> None:
        if process.frozen:
            process.frozen = False
            if not process.dead:
                self._trace.add(process.name, "thaws")

    def _strike(self, process: Process, scheduled: Scheduled) -> None:
        if self._faults.over or process is not self.process:
            return
        self._faults.happens(scheduled)
        rng = scheduled.rng
        if scheduled.kind == "kill":
            WORLD.context.run(self.kill)
        elif scheduled.kind == "freeze":
            seconds = rng.choice((0.05, 0.5, 2, 8)) * rng.random()
            WORLD.context.run(self.freeze, seconds)
        else:
            process.ahead += int(rng.choice((-1, 1)) * rng.choice((2_000, 60_000)))
            self._trace.add(process.name, f"has its clock set: {process.ahead / 1000:+} s now")

    async def _serve(self, process: Process) -> None:
        store = await self._site.open(process)
        source = self._provider.source(process)
        try:
            await self._work(process, store, source)
        finally:
            await source.close()
            await store.close()
            self._site.let_go(process)
            for _ in range(_LAST_TURNS):  # as `asyncio.run` lets what was dropped be closed
                await asyncio.sleep(0)

    async def _work(self, process: Process, inner: Store, source: Source) -> None:
        store = InjectedStore(inner, process, self._faults, self._ledger, self._trace)
        worker = Worker(
            store,
            source,
            name=process.name,
            limits=self.limits,
            rng=self._faults.rng(f"jitter {process.name}"),
        )
        app = create_app(store, worker, self._config, authenticate=_by_header, ui=None)
        lifespan = app.router.lifespan_context(app)
        try:
            await lifespan.__aenter__()
        except StoreError as error:
            self._trace.add(process.name, f"cannot start: {error}")
            return
        try:
            self.application = app
            await self._told_to_end.wait()
            context = app.state.durable
            assert isinstance(context, AppState)
            await context.finish()
            self.application = None
            await context.hand_over()
            await self._let_exchanges_end()
        finally:
            await lifespan.__aexit__(None, None, None)

    async def _let_exchanges_end(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _GRACEFUL_SECONDS
        while self.exchanges and loop.time() < until:
            await asyncio.sleep(0.05)
        for answering in list(self.exchanges):
            answering.cancel()
        while self.exchanges:
            await asyncio.sleep(0.05)

    def _exited(self, process: Process, task: asyncio.Task[None]) -> None:
        if process.dead:
            return
        if task.cancelled() or task.exception() is not None:
            error = None if task.cancelled() else task.exception()
            self.leaks.append(f"{process.name} ended by {error!r}")
        left = sorted(other.get_name() for other in process.tasks if other is not task)
        if left:
            self.leaks.append(f"{process.name} left tasks behind: {', '.join(left)}")
        if heard := self._provider.heard_by(process):
            self.leaks.append(f"{process.name} left {heard} of the provider's answers open")
        self._trace.add(process.name, "has ended")
        process.kill()
        self._site.killed(process)
        self._gone()

    def _gone(self) -> None:
        self.application = None
        self.ended.set()
        cut, self.exchanges = self.exchanges, {}
        for exchange in cut.values():
            exchange.cut()


async def _by_header(connection: HTTPConnection) -> Principal:
    return Principal(connection.headers.get("x-owner", "nobody"))


def headers(owner: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"x-owner": owner, **(more or {})}
