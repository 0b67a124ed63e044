"""The way to the model of Redis: what may happen to a command, and what the product makes of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Claim
from durable_llm_streams.stores.redis import RedisStore, scripts
from durable_llm_streams.stores.redis.script import Script
from tests.contract.harness import LEASE, Talk, Tokens, records
from tests.virtual_time import elapsed, now, run_virtual, until, virtual

from .redis_model import (
    Fault,
    ModelNetwork,
    ModelRedis,
    delay,
    error,
    lose_reply,
    lose_request,
    model_store,
    stall,
)
from .test_redis_model_contract import ModelStores

ROOT = "{dls:0}"

Names = list[tuple[str, str]]


class World:
    """A server, a network, and faults that were ordered.

    Attributes:
        sent: of each command and dialling: whose it was, and its name.
        wrote: of each step that wrote: whose it was.
    """

    def __init__(self, **ways: Callable[..., object]) -> None:
        self.server = ModelRedis(now)
        self.network = ModelNetwork(self.server, fault=self._decide, **ways)  # type: ignore[arg-type]
        self.sent: Names = []
        self.wrote: list[str] = []
        self.server.on_write(lambda process, keys: self.wrote.append(process))
        self._ordered: dict[tuple[str, str], list[Fault]] = {}
        self._counts: Counter[str] = Counter()
        self._tokens = Tokens()

    def order(self, process: str, name: str, *faults: Fault) -> None:
        """Let something happen to the next commands of a name."""
        self._ordered[process, name] = list(faults)

    def _decide(self, process: str, use: str, name: str, ordinal: int) -> Fault | None:
        self.sent.append((process, name))
        self._counts[process] += 1
        assert ordinal == self._counts[process]
        ordered = self._ordered.get((process, name))
        return ordered.pop(0) if ordered else None

    def store(self, process: str, timeout: float = 5.0) -> RedisStore:
        return model_store(self.network, process, token=self._tokens, timeout=timeout)

    async def talk(self, process: str) -> Talk:
        """A store that is open, and of which the server knows all scripts."""
        store = self.store(process)
        await store.open()
        client = self.server.connect("loader", _unheard)
        for script in vars(scripts).values():
            if isinstance(script, Script):
                self.server.execute(client, [b"SCRIPT", b"LOAD", script.text.encode()])
        self.server.disconnect(client)
        self.sent.clear()
        self.wrote.clear()
        return Talk(ModelStores(), store)

    def log(self, claim: Claim) -> list[bytes]:
        return self.server.log(ROOT, claim.run.id)


def _unheard(message: bytes) -> None:
    """Nobody listens."""


# --- one command ---------------------------------------------------------------------------------


@virtual
async def test_a_lost_request_was_not_executed_and_is_sent_again_over_a_new_link() -> None:
    world = World()
    talk = await world.talk("A")
    claim = await talk.start()
    world.order("A", "append", lose_request())
    assert await talk.append(claim, records(2))
    assert world.sent[-3:] == [("A", "append"), ("A", "DIAL"), ("A", "append")]
    assert world.wrote.count("A") == 2  # send, and one append
    assert world.log(claim) == records(2)
    await talk.store.close()


@virtual
async def test_a_lost_reply_was_executed_and_the_repetition_adds_nothing() -> None:
    world = World()
    talk = await world.talk("A")
    claim = await talk.start()
    world.order("A", "append", lose_reply())
    assert await talk.append(claim, records(2))
    assert world.sent[-3:] == [("A", "append"), ("A", "DIAL"), ("A", "append")]
    assert world.wrote.count("A") == 3
    assert world.log(claim) == records(2)
    await talk.store.close()


@virtual
async def test_a_claim_whose_replies_were_lost_is_found_again_by_its_tokens() -> None:
    world = World()
    talk = await world.talk("A")
    sent = await talk.send()
    world.order("A", "claim", lose_reply(), lose_reply())
    with pytest.raises(StoreUnavailable):
        await talk.store.claim("w", 1, LEASE)
    held = world.server.run_fields(ROOT, sent.run.id)
    assert held["worker"] == "w"
    (claim,) = await talk.store.claim("w", 1, LEASE)
    assert claim.run.takeovers == 0
    assert claim.epoch.token == held["token"]
    await talk.store.close()


@virtual
async def test_what_is_delayed_comes_late_and_what_was_sent_after_it_does_not_overtake() -> None:
    world = World()
    talk = await world.talk("A")
    claim = await talk.start()
    world.order("A", "append", delay(1.5))
    late = asyncio.create_task(talk.append(claim, records(1)))
    await asyncio.sleep(0)
    assert await elapsed(talk.append(claim, records(1, mark="y"), at=2)) == 1.5
    assert await late
    assert world.log(claim) == records(1) + records(1, mark="y")
    await talk.store.close()


@virtual
async def test_a_call_that_is_stalled_too_long_ends_by_its_deadline_and_may_be_done_later() -> None:
    world = World()
    talk = await world.talk("A")
    claim = await talk.start()
    world.order("A", "append", stall(7))
    with pytest.raises(StoreUnavailable):
        await talk.append(claim, records(1))
    assert not world.log(claim)
    await until(lambda: world.log(claim) == records(1))
    assert await talk.append(claim, records(1))
    assert world.log(claim) == records(1)
    await talk.store.close()


@virtual
async def test_an_error_that_was_ordered_is_what_the_store_makes_of_it() -> None:
    world = World()
    talk = await world.talk("A")
    claim = await talk.start()
    world.order("A", "append", error(b"OOM command not allowed when used memory > 'maxmemory'."))
    with pytest.raises(StoreUnavailable, match="out of memory"):
        await talk.append(claim, records(1))
    world.order("A", "append", error(b"NOSCRIPT No matching script."))
    assert await talk.append(claim, records(1))
    assert world.log(claim) == records(1)
    await talk.store.close()


@pytest.mark.parametrize("state", ["full", "replica", "loading"])
def test_a_state_of_the_server_is_told_and_over_when_it_is(state: str) -> None:
    @virtual
    async def test() -> None:
        world = World()
        talk = await world.talk("A")
        claim = await talk.start()
        setattr(world.server, state, True)
        with pytest.raises(StoreUnavailable):
            await talk.append(claim, records(1))
        assert not world.log(claim)
        setattr(world.server, state, False)
        assert await talk.append(claim, records(1))
        await talk.store.close()

    test()


# --- the same again ------------------------------------------------------------------------------


async def _history(seed: int) -> tuple[Names, list[str], dict[str, list[bytes]]]:
    """Two processes write, read and claim over a bad network."""
    rng = random.Random(seed)
    faults = (None,) * 12 + (lose_request(), lose_reply(), delay(0.3), stall(0.7), error(b"OOM x"))
    world = World(latency=lambda process, direction: rng.choice((0.0, 0.001, 0.02)))
    talks = [await world.talk("A"), await world.talk("B")]
    decide = world._decide
    world.network._fault = lambda *what: decide(*what) or rng.choice(faults)

    async def live(talk: Talk, name: str) -> None:
        for number in range(6):
            try:
                claim = await talk.start(
                    f"m{number}", chat=f"{name}{number}", run_id=f"{name}{number}"
                )
                for at in range(1, 5):
                    await talk.append(claim, records(1), at)
                await talk.store.read(claim.run.id, 4, wait=1.0)
                await talk.end(claim)
            except StoreUnavailable:
                await asyncio.sleep(0.5)

    await asyncio.gather(*map(live, talks, ("a", "b")))
    runs = [f"{name}{number}" for name in "ab" for number in range(6)]
    for talk in talks:
        await talk.store.close()
    logs = {run_id: world.server.log(ROOT, run_id) for run_id in runs}
    return world.sent, world.wrote, logs


def test_the_same_seed_gives_the_same_history() -> None:
    first, other, again = (run_virtual(_history(seed)) for seed in (1, 2, 1))
    assert first == again
    assert first != other
    assert len(first[0]) > 50
