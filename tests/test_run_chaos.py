"""Everything goes wrong at once, at places that a seed chooses. The promises hold all the same."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.log import follow
from durable_llm_streams.model import Cursor, Run, Status, token_at
from durable_llm_streams.runs import Limits, Worker

from .faulty_store import FaultyStore, Moment
from .run_world import World
from .scripted_source import Done, Fail, Reason, Scene, ScriptedSource, Tell, Wait
from .virtual_time import virtual

TEXT = "".join(f"{number} " for number in range(60))
BOTH: list[Moment] = ["before", "after"]
LIMITS = Limits(lease=2, poll=0.1, attempts=100, next_token=3, first_token=3, backoff=0.05)


def scenes(rng: random.Random) -> list[Scene]:
    """Attempts that come to nothing, and one that gets through."""
    failures: list[Scene] = []
    for _ in range(rng.randrange(4)):
        told = Tell(TEXT, upto=rng.randrange(len(TEXT)), every=rng.choice([0, 0.01, 0.05]))
        ways: list[Scene] = [[told], [told, Fail()], [told, Wait()], [Reason("Hm"), told], [Fail()]]
        failures.append(rng.choice(ways))
    return [*failures, [Tell(TEXT, every=0.02), Done()]]


class Chaos:
    """Workers that come and go over one store, and readers that watch."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.can_prefill = rng.random() < 0.5
        self.workers: list[tuple[Worker, FaultyStore, ScriptedSource]] = []
        self.readers: list[tuple[int, asyncio.Task[list[bytes]]]] = []

    async def worker(self) -> Worker:
        store = FaultyStore(self.world.store, jitter=self.rng)
        source = ScriptedSource(*scenes(self.rng), can_prefill=self.can_prefill)
        worker = await self.world.worker(source, LIMITS, store=store)
        self.workers.append((worker, store, source))
        return worker

    async def happen(self, run: Run) -> None:
        """One thing goes wrong, or somebody comes to read."""
        worker, store, _ = self.rng.choice(self.workers)
        match self.rng.randrange(7):
            case 0:
                store.freeze()
                asyncio.get_running_loop().call_later(self.rng.random() * 6, store.thaw)
            case 1:
                store.fail("append", self.rng.choice(BOTH), self.rng.choice(BOTH))
            case 2:
                store.fail("end", self.rng.choice(BOTH))
            case 3:
                store.fail(self.rng.choice(["claim", "renew", "read", "thread"]), "before")
            case 4 if len(self.workers) < 6:
                await asyncio.gather(worker.close(), self.worker())
            case _:
                page = await self.world.store.read(run.id, 0, max_bytes=1)
                after = self.rng.randrange(page.next_seq)
                reader = asyncio.create_task(
                    self.read(Cursor(run.id, after, token_at(page.spans, after)))
                )
                self.readers.append((after, reader))

    async def read(self, place: Cursor) -> list[bytes]:
        records: list[bytes] = []
        pause = self.rng.choice([0, 0.01, 1])
        async for page in follow(self.world.store, place, wait=1, max_bytes=300):
            assert page.first == place.seq + len(records) + 1
            records += page.records
            await asyncio.sleep(pause)
        return records


async def storm(folder: Path, seed: int, *, stop: bool) -> None:
    """One run, from its beginning to its end, through everything."""
    rng = random.Random(seed)
    async with World(folder) as world:
        chaos = Chaos(world, rng)
        for _ in range(2):
            await chaos.worker()
        run = await world.queue()
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(rng.random())
            await chaos.happen(run)
        await chaos.worker()  # there is always somebody left
        stopped = stop and await stopping(chaos, run)
        ended = await world.ended(run, within=3600)
        assert stopped == (ended.status is Status.STOPPED)
        if ended.status is Status.FINISHED:
            assert ended.text == TEXT
        else:
            assert TEXT.startswith(ended.text)
            assert stopped
        for _, store, _ in chaos.workers:
            store.thaw()
        await asyncio.sleep(20)
        records = await world.records(run)
        assert len(records) == len(ended.log)
        for after, reader in chaos.readers:
            assert await reader == records[after:]
        assert [worker.running for worker, _, _ in chaos.workers] == [0] * len(chaos.workers)
        assert not any(source.open for _, _, source in chaos.workers)


async def stopping(chaos: Chaos, run: Run) -> bool:
    """Stop it, by a worker that is not in trouble."""
    worker, _, _ = chaos.workers[-1]
    while True:
        try:
            await worker.stop(run)
        except StoreUnavailable:
            continue
        return (await chaos.world.find(run)).status is Status.STOPPED


@pytest.mark.promise(
    "prefix",
    "fencing",
    "one-end",
    "history-is-fold",
    "takeover",
    "one-clean-answer",
    "honest-failure",
    "outage",
)
@pytest.mark.parametrize("seed", range(25))
@virtual
async def test_an_answer_comes_through_whatever_happens(tmp_path: Path, seed: int) -> None:
    await storm(tmp_path, seed, stop=False)


@pytest.mark.promise("prefix", "one-end", "history-is-fold", "stop")
@pytest.mark.parametrize("seed", range(25, 45))
@virtual
async def test_a_stop_comes_through_whatever_happens(tmp_path: Path, seed: int) -> None:
    await storm(tmp_path, seed, stop=True)
