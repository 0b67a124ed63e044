"""Workers of several processes on one Redis: who starts a run, and who gets those of a dead one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits, Worker
from tests.contract.harness import Talk
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores
from tests.scripted_source import ScriptedSource, Wait

__all__ = ["redis_server"]

pytestmark = pytest.mark.xdist_group("redis")

SECONDS = 30.0
RUNS = 64


class Process:
    """A server process's store and worker. Its answers never end."""

    def __init__(self, talk: Talk, worker: Worker) -> None:
        self.talk = talk
        self.worker = worker

    async def ask(self, chat: str) -> None:
        body = b'{"id":"m1","role":"user","parts":[{"type":"text","text":"Hello"}]}'
        await self.worker.send(self.talk.order(chat=chat, run_id=f"run-{chat}", body=body))

    async def die(self) -> None:
        """As by SIGKILL: nothing is given back."""
        for task in (*self.worker._loops, *self.worker._executor.tasks):
            task.cancel()
        await self.talk.store.close()


class Fleet:
    """Processes over one store."""

    def __init__(self, url: str) -> None:
        self._stores = RedisStores(url, real_time=True)
        self._numbers = itertools.count(1)
        self._workers: list[Worker] = []

    async def start(self, **limits: float) -> Process:
        store = await self._stores.open()
        source = ScriptedSource([Wait()])
        name = f"worker-{next(self._numbers)}"
        worker = Worker(store, source, name=name, limits=Limits(lease=1.0, **limits))  # type: ignore[arg-type]
        await worker.start()
        self._workers.append(worker)
        return Process(Talk(self._stores, store), worker)

    async def close(self) -> None:
        for worker in self._workers:
            await worker.close()
        await self._stores.clean_up()


@pytest.fixture
async def fleet(redis_server: RedisServer) -> AsyncIterator[Fleet]:
    made = Fleet(redis_server.url)
    yield made
    await made.close()


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not predicate():
            await asyncio.sleep(0.01)


@pytest.mark.promise("takeover")
async def test_the_runs_of_a_dead_worker_are_spread_over_the_living(fleet: Fleet) -> None:
    dying, *living = [await fleet.start() for _ in range(3)]
    for number in range(RUNS):
        await dying.ask(f"c{number}")
    assert dying.worker.running == RUNS
    await dying.die()
    workers = [process.worker for process in living]
    await until(lambda: sum(worker.running for worker in workers) == RUNS)
    assert min(worker.running for worker in workers) >= RUNS // 8
    runs = await living[0].talk.store.runs.newest(active=True)
    assert [run.takeovers for run in runs] == [1] * RUNS


async def test_a_run_without_room_where_it_was_asked_starts_elsewhere(fleet: Fleet) -> None:
    full = await fleet.start(concurrent_runs=1, poll=60)
    other = await fleet.start(poll=60)
    await full.ask("c1")
    await full.ask("c2")
    await until(lambda: other.worker.running == 1)
    assert full.worker.running == 1
    runs = await other.talk.store.runs.newest(active=True)
    assert [(run.status, run.takeovers) for run in runs] == [(Status.RUNNING, 0)] * 2


@pytest.mark.promise("hand-over")
async def test_the_runs_of_a_worker_that_ends_in_order_start_elsewhere_at_once(
    fleet: Fleet,
) -> None:
    ending, other = await fleet.start(poll=60), await fleet.start(poll=60)
    for number in range(RUNS):
        await ending.ask(f"c{number}")
    await ending.worker.close()
    await until(lambda: other.worker.running == RUNS)
    runs = await other.talk.store.runs.newest(active=True)
    assert [run.takeovers for run in runs] == [0] * RUNS
