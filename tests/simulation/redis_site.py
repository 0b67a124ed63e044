"""Redis in the simulation: a model of the server with the product's scripts, and its store.

Faults: the server is restarted, its clock is set, it loses its last writes as in a failover that
comes too early. A call does not arrive, or its reply does not, or it is run late. A subscriber's
connection is cut while calls continue, and the other way round.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from durable_llm_streams.store import Retention, Store
from durable_llm_streams.stores.redis import RedisStore

from .determinism import true_time
from .faults import Faults
from .loop import WORLD, Process
from .redis_model import Fault, ModelNetwork, ModelRedis, State, model_store
from .trace import Trace

_ROOT = "{dls:0}"
_OBSERVERS = ("observer", "oracle")
#: A command that is later than this, in seconds, holds up its process: those behind it wait, too.
_PAUSE_SECONDS = 1.0
#: Keys of chats and their answers: all go with the chat.
_OF_CHATS = ("log", "run", "chat", "order", "tree", "body", "keys", "active")


class RedisSite:
    """The Redis of a history."""

    servers = 3
    troubles: tuple[str, ...] = ("restart-store", "lose-tail", "store-clock")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._economy = rng.random() < 0.2
        self._ahead = 0
        self._retention = Retention()
        self._observer: RedisStore | None = None
        self.forgotten: list[dict[str, Sequence[bytes]]] = []
        self.pauses: list[tuple[float, float]] = []

    def begin(self, faults: Faults, trace: Trace) -> None:
        self._faults = faults
        self._trace = trace
        self._server = ModelRedis(lambda: true_time() + self._ahead)
        self._network = ModelNetwork(
            self._server,
            latency=lambda: self._rng.choice((0.0001, 0.0005, 0.002)),
            fault=self._fault,
            cut_subscriber=self._cut_subscriber,
            arrives=lambda process: self._rng.random() < 0.5,
        )

    def retain(self, log_age: float, chat_age: float) -> None:
        self._retention = Retention(log=log_age, chat=chat_age)

    def set_clock(self, seconds: float) -> None:
        self._ahead += round(seconds * 1000)
        self._trace.add("Redis", f"has its clock set: {self._ahead / 1000:+} s now")

    async def kept(self) -> list[str]:
        members = [
            f"{member} in {index}"
            for index in ("runs", "ended", "kept", "ages")
            for member in self._server.scores(f"{_ROOT}:{index}")
        ]
        return [*(key for key in self._keys() if _kind(key) in _OF_CHATS), *members]

    async def open(self, process: Process) -> Store:
        return self._store(process.name)

    def let_go(self, process: Process) -> None:
        """A process has closed its store in order."""

    def killed(self, process: Process) -> None:
        self._network.kill(process.name)

    def strike(self, kind: str, rng: random.Random) -> None:
        loop = asyncio.get_running_loop()
        if kind == "store-clock":
            self.set_clock(rng.choice((-10, -1, 0.5, 3, 60)))
        elif kind == "restart-store":
            self._trace.add("Redis", "is restarted")
            self._network.stop()
            loop.call_later(rng.choice((0.0, 0.2, 4.0)), self._start, None, context=WORLD.context)
        else:
            state = self._server.snapshot()
            loop.call_later(
                rng.choice((0.02, 0.2, 1.0)) * rng.random(),
                self._forget,
                state,
                context=WORLD.context,
            )

    def calm(self) -> None:
        if self._network.down:
            self._network.start()

    def length(self, run_id: str) -> int | None:
        return len(self._server.log(_ROOT, run_id))

    async def active(self) -> bool:
        if self._observer is None:
            self._observer = self._store("observer")
            await self._observer.open()
        return bool(await self._observer.operators.newest(active=True))

    async def reopened(self) -> Store:
        if self._observer is not None:
            await self._observer.close()
        store = self._store("oracle")
        await store.open()
        return store

    def abandon(self) -> None:
        """There are no files."""

    def leaks(self) -> list[str]:
        leaks = [
            f"{connection.process} has left a connection to Redis open"
            for connection in self._network.connections
            if connection.process not in _OBSERVERS
        ]
        indexes = ("leases", "queue", "running")
        scores = {index: self._server.scores(f"{_ROOT}:{index}") for index in indexes}
        leaks += [f"Redis still has {index}: {left}" for index, left in scores.items() if left]
        leaks += [
            f"the key {key} never expires"
            for key in self._keys()
            if self._server.ttl(key) is None and _kind(key) in ("log", "run", "active", "feed")
        ]
        return leaks

    def _store(self, name: str) -> RedisStore:
        return model_store(
            self._network,
            name,
            token=lambda: self._rng.randbytes(4).hex(),
            economy=self._economy,
            retention=self._retention,
            monotonic=true_time,
        )

    def _start(self, state: State | None) -> None:
        if self._network.down or state is not None:
            self._network.start(state)

    def _forget(self, state: State) -> None:
        if self._faults.over:
            return
        self.forgotten.append(self._logs())
        self._trace.add("Redis", "forgets its last writes")
        self._network.stop()
        self._network.start(state)

    def _keys(self) -> list[str]:
        return self._server.keys()

    def _logs(self) -> dict[str, Sequence[bytes]]:
        keys = [key for key in self._keys() if _kind(key) == "log"]
        runs = [key.rpartition(":")[2] for key in keys]
        return {run: tuple(self._server.log(_ROOT, run)) for run in runs}

    def _fault(self, process: str, name: str) -> Fault | None:
        if process in _OBSERVERS:
            return None
        place = f"{name} of {process}"
        if self._faults.strikes("lose-command", place):
            return Fault("lose-request")
        if self._faults.strikes("lose-reply", place):
            return Fault("lose-reply")
        if late := self._faults.strikes("stall-command", place):
            seconds = late.choice((0.01, 0.3, 6.0)) * late.random()
            if seconds > _PAUSE_SECONDS:
                now = asyncio.get_running_loop().time()
                self.pauses.append((now, now + seconds))
            return Fault("stall", seconds)
        return None

    def _cut_subscriber(self, process: str) -> float | None:
        if process in _OBSERVERS:
            return None
        cut = self._faults.strikes("cut-subscriber", f"messages to {process}")
        return cut.choice((0.0, 0.0, 0.05, 3.0)) if cut else None


def _kind(key: str) -> str:
    return key.removeprefix(f"{_ROOT}:").partition(":")[0]
