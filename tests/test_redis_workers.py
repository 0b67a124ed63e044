"""Workers of several processes on one Redis: which one starts or takes over a run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits, Worker
from tests.contract.harness import Talk
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores
from tests.scripted_source import ScriptedSource, Wait
from tests.waiting import until

__all__ = ["redis_server"]

pytestmark = pytest.mark.xdist_group("redis")

RUNS = 64


class Fleet:
    """Processes over one store. Their answers never end."""

    def __init__(self, url: str) -> None:
        self._stores = RedisStores(url, real_time=True)
        self._workers: list[Worker] = []

    async def start(self, **limits: float) -> Worker:
        store = await self._stores.open()
        self._talk = Talk(self._stores, store)
        name = f"worker-{len(self._workers)}"
        limited = Limits(lease=1.0, **limits)  # type: ignore[arg-type]
        worker = Worker(store, ScriptedSource([Wait()]), name=name, limits=limited)
        await worker.start()
        self._workers.append(worker)
        return worker

    async def ask(self, worker: Worker, count: int) -> None:
        body = b'{"id":"m1","role":"user","parts":[{"type":"text","text":"Hello"}]}'
        for number in range(count):
            await worker.send(self._talk.order(chat=f"c{number}", run_id=f"run{number}", body=body))

    async def takeovers(self) -> list[int]:
        runs = await self._talk.store.operators.newest(active=True)
        assert {run.status for run in runs} == {Status.RUNNING}
        return [run.takeovers for run in runs]

    async def close(self) -> None:
        for worker in self._workers:
            await worker.close()
        await self._stores.clean_up()


@pytest.fixture
async def fleet(redis_server: RedisServer) -> AsyncIterator[Fleet]:
    made = Fleet(redis_server.url)
    yield made
    await made.close()


@pytest.mark.promise("takeover")
async def test_the_runs_of_a_dead_worker_are_spread_over_the_living(fleet: Fleet) -> None:
    dying, *living = [await fleet.start() for _ in range(3)]
    await fleet.ask(dying, RUNS)
    assert dying.running == RUNS
    assert dying._claiming is not None
    tasks = (*dying._loops, dying._claiming, *dying._executor.tasks)
    for task in tasks:  # as by SIGKILL: nothing is given back
        task.cancel()
    await until(lambda: [worker.running for worker in living], lambda found: sum(found) == RUNS)
    assert min(worker.running for worker in living) >= RUNS // 8
    assert await fleet.takeovers() == [1] * RUNS


async def test_a_run_that_finds_its_server_full_starts_elsewhere(fleet: Fleet) -> None:
    full, other = await fleet.start(concurrent_runs=1, poll=600), await fleet.start(poll=600)
    await fleet.ask(full, 2)
    await until(lambda: other.running == 1)
    assert full.running == 1
    assert await fleet.takeovers() == [0] * 2


@pytest.mark.promise("hand-over")
async def test_the_runs_of_a_worker_that_ends_in_order_start_elsewhere_at_once(
    fleet: Fleet,
) -> None:
    ending, other = await fleet.start(poll=600), await fleet.start(poll=600)
    await fleet.ask(ending, RUNS)
    await ending.close()
    await until(lambda: other.running == RUNS)
    assert await fleet.takeovers() == [0] * RUNS
