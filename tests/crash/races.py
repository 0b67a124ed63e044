"""Races: a stop against a run that writes as fast as it can.

One worker writes; another one over the same Redis (for SQLite the same one: one process serves a
file) stops the run at a moment that the seed chooses, so that the stop comes amid writes. The log's
length right after the acknowledgement must be its length for good.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from durable_llm_streams.chunks import encode
from durable_llm_streams.log import follow, read_all
from durable_llm_streams.model import Claim, Cursor, Run, token_at
from durable_llm_streams.runs import Event, Finish, Limits, Prompt, TextDelta, Worker
from durable_llm_streams.runs.worker import wall_clock
from durable_llm_streams.store import Append, Ending, Order, Store
from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from durable_llm_streams.stores.sqlite import SQLiteStore
from tests.oracle.evidence import Answer, Evidence, Frame, Log, Reading, Stop
from tests.oracle.invariants import violations
from tests.redis_servers import RedisServer
from tests.waiting import until, within

OWNER = "racer"
STORES = ("redis", "sqlite")

#: So many races run at once, and after so many every log is looked at.
AT_ONCE = 6
LOT = 60

_WORDS = 30_000  # more than are written before any stop
_TEXT = "".join(f"{number} " for number in range(1, _WORDS + 1))
_LATEST_SECONDS = 0.02
_READERS_OF_100 = 25


class Tally(Counter[str]):
    """How close the races were."""

    def appended(self, batch: Sequence[Append], stands: Sequence[bool]) -> Sequence[bool]:
        """Count the writes that came too late."""
        refused = sum(not s and bool(each.records) for each, s in zip(batch, stands, strict=True))
        self["writes that came behind a stop, and were refused"] += refused
        return stands


class TalliedRedis(RedisStore):
    """A Redis store that tells how close it was."""

    def __init__(self, address: RedisAddress, tally: Tally) -> None:
        super().__init__(address)
        self._tally = tally

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        return self._tally.appended(batch, await super().append(batch))

    async def end(self, ending: Ending) -> Run:
        self._tally["tries to end"] += 1
        return await super().end(ending)

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        self._tally["stops that took the run away first"] += 1
        return await super().seize(run_id, worker, lease)


class TalliedSQLite(SQLiteStore):
    """A SQLite store that tells how close it was."""

    def __init__(self, path: Path, tally: Tally) -> None:
        super().__init__(path)
        self._tally = tally

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        return self._tally.appended(batch, await super().append(batch))

    async def end(self, ending: Ending) -> Run:
        self._tally["tries to end"] += 1
        return await super().end(ending)


class FastSource:
    """A model without a pause: it says words in bursts, as fast as they are taken."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        burst = self._rng.choice([1, 3, 20, 100])
        for number in range(1, _WORDS + 1):
            yield TextDelta(f"{number} ")
            if number % burst == 0:
                await asyncio.sleep(0)
        yield Finish(reason="stop", metadata={})

    def can_prefill(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        pass


class Race(NamedTuple):
    """A run that was stopped.

    Attributes:
        length: of its log, right after the stop was acknowledged.
        reading: what a reader has that was there all the time; None where there was none.
    """

    run: Run
    length: int
    reading: Reading | None


SETUPS = {
    "redis": "two workers over one Redis: one writes, the other one stops.",
    "sqlite": "one worker over one file: it writes and it stops.",
}


@dataclass
class Races:
    """Races over one store.

    Attributes:
        setup: which worker writes and which one stops, a sentence.
        writing: the worker that accepts and writes.
        stopping: the one that stops.
        store: what it stops in, and what is read.
        tally: how close they were.
        violations: what was wrong.
        count: how many there were.
    """

    setup: str
    writing: Worker
    stopping: Worker
    store: Store
    rng: random.Random
    tally: Tally
    violations: list[str] = field(default_factory=list)
    count: int = 0

    async def run(self, count: int) -> None:
        """So many races whose stop came in time."""
        numbers = itertools.count(1)
        while self.count < count:
            races: list[Race] = []
            lot = min(LOT, count - self.count)
            async with asyncio.TaskGroup() as group:
                for share in range(AT_ONCE):
                    size = len(range(share, lot, AT_ONCE))
                    group.create_task(self._some(size, numbers, races))
            await self._settled()
            for race in races:
                await self._check(race)
            self.count += len(races)

    async def _some(self, count: int, numbers: itertools.count[int], races: list[Race]) -> None:
        while count:
            race = await self._one(next(numbers))
            if race is not None:
                races.append(race)
                count -= 1

    async def _one(self, number: int) -> Race | None:
        """One race; None where the stop came too late."""
        run = (await self.writing.send(order(number))).run
        reading: asyncio.Task[Reading] | None = None
        if self.rng.randrange(100) < _READERS_OF_100:
            reading = asyncio.create_task(self._read(run))
        await asyncio.sleep(self.rng.uniform(0, _LATEST_SECONDS))
        found = await self.store.find_run(OWNER, run.chat_id, run.id)
        stopped = await self.stopping.stop(found)
        records, page = await read_all(self.store, run.id)
        async with within("a reader to come to the end"):
            read = None if reading is None else await reading
        if not page.status.ended:
            self.violations.append(f"stop: {run.id} had not ended when it was acknowledged")
        if not stopped:
            self.tally["stops that came too late"] += 1
            return None
        return Race(run, len(records), read)

    async def _read(self, run: Run) -> Reading:
        reading = Reading("the reader", run.chat_id)
        async for page in follow(self.store, Cursor.beginning(run.id), wait=5):
            first = reading.last + 1
            reading.frames += [
                Frame(Cursor(run.id, number, token_at(page.spans, number)), record)
                for number, record in enumerate(page.records, first)
            ]
        reading.ended = True
        return reading

    async def _settled(self) -> None:
        """Wait until the worker has heard of every stop."""
        await until(lambda: self.writing.running, lambda n: not n, "the worker to hear of stops")

    async def _check(self, race: Race) -> None:
        found = await self.store.find_run(OWNER, race.run.chat_id, race.run.id)
        records, page = await read_all(self.store, found.id)
        snapshot = await self.store.snapshot(OWNER, found.chat_id)
        log, body = Log(records, page.spans), snapshot.messages[-1].body
        self.tally["records"] += len(records)
        self.tally["records after a stop"] += max(0, len(records) - race.length)
        evidence = Evidence(
            answers={found.id: Answer(found, log, body, expected=_TEXT)},
            readings=[] if race.reading is None else [race.reading],
            stops=[Stop(found.chat_id, found.id, race.length, ended=True)],
        )
        self.violations += map(str, violations(evidence))


def order(number: int) -> Order:
    """A question in a chat of its own."""
    name = f"{number:010}"
    body = {"id": f"m{name}", "role": "user", "parts": [{"type": "text", "text": "Go"}]}
    return Order(
        owner=OWNER,
        chat_id=f"chat{name}",
        place="follow",
        run_id=f"run{name}",
        answer_id=f"answer{name}",
        model="fast",
        now=wall_clock(),
        message_id=f"m{name}",
        body=encode(body),
        key=name,
        title="Go",
    )


@asynccontextmanager
async def racing(name: str, folder: Path, seed: int) -> AsyncGenerator[Races, None]:
    """Workers over a store.

    Args:
        name: `redis` or `sqlite`.
        folder: where its data is.
        seed: draws the moments.
    """
    rng, tally, limits = random.Random(f"{seed} {name}"), Tally(), Limits()
    async with AsyncExitStack() as stack:
        stores: list[Store]
        if name == "sqlite":
            stores = [TalliedSQLite(folder / "races.db", tally)]
        else:
            redis = await stack.enter_async_context(RedisServer(folder))
            address = RedisAddress.parse(f"{redis.url}?prefix=races")
            stores = [TalliedRedis(address, tally), TalliedRedis(address, tally)]
        workers = []
        for number, store in enumerate(stores):
            stack.push_async_callback(store.close)
            await store.open()
            worker = Worker(store, FastSource(rng), name=f"worker-{number}", limits=limits)
            stack.push_async_callback(worker.close)
            workers.append(worker)
        await workers[0].start()  # only this one writes
        yield Races(SETUPS[name], workers[0], workers[-1], stores[-1], rng, tally)
