"""Connections to the model of Redis: refused, cut, killed, restarted, and whose code runs where."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence

import pytest

from durable_llm_streams.errors import StoreUnusable
from durable_llm_streams.stores.redis.database import Database
from durable_llm_streams.stores.redis.wire import pack
from tests.contract.harness import records
from tests.virtual_time import until, virtual

from .redis_model import ModelNetwork, refuse, stall
from .test_redis_model_network import World


class Ears(asyncio.Protocol):
    """Somebody at the process's end of a raw connection."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.lost: list[Exception | None] = []
        self.told: list[str] = []
        self.contexts: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.data.append(data)
        self.contexts.append(WHO.get())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    def pause_writing(self) -> None:
        self.told.append("wait")

    def resume_writing(self) -> None:
        self.told.append("go on")


WHO = contextvars.ContextVar("WHO", default="nobody")


async def raw(network: ModelNetwork, process: str = "A") -> tuple[asyncio.WriteTransport, Ears]:
    transport = (await network.dial(process)).transport
    ears = Ears()
    transport.set_protocol(ears)
    return transport, ears


@virtual
async def test_a_refused_connection_is_unavailable_and_the_next_one_is_open() -> None:
    world = World()
    store = world.store("A")
    world.order("A", "DIAL", refuse())
    database: Database = store._database
    assert await database.command("PING") == b"PONG"  # it dials twice
    world.network.stop()
    with pytest.raises(StoreUnusable, match="nobody listens"):
        await store.open()
    world.network.start()
    await store.open()
    await store.close()


@virtual
async def test_a_restart_is_survived_with_the_data_of_an_earlier_moment() -> None:
    world = World()
    here, there = await world.talk("A"), await world.talk("B")
    claim = await here.start()
    assert await here.append(claim, records(2))
    state = world.server.snapshot()
    assert await here.append(claim, records(2, mark="y"), at=3)
    world.network.restart(state)
    assert world.log(claim) == records(2)
    await asyncio.sleep(1)
    world.sent.clear()
    assert not await here.append(claim, records(1), at=5)
    assert world.sent == [("A", name) for name in ("DIAL", "append", "append")]  # no script known
    assert await here.append(claim, records(1, mark="z"), at=3)
    reader = await there.waiting(claim.run.id, 3)
    assert await here.append(claim, records(1), at=4)
    assert (await reader).records == records(1)
    assert world.server.snapshot() != state
    world.network.restart(state)
    assert world.log(claim) == records(2), "a state can be used again"
    for talk in (here, there):
        await talk.store.close()


@virtual
async def test_who_is_killed_hears_nothing_and_is_heard_of_no_more() -> None:
    world = World()
    transport, ears = await raw(world.network)
    transport.write(pack("SUBSCRIBE", "news"))
    await asyncio.sleep(0.1)
    other, heard = await raw(world.network, "B")
    other.write(pack("PUBLISH", "news", "first") + pack("PING"))
    world.network.kill("A")
    await asyncio.sleep(0.1)
    assert [client.name for client in world.server.connections] == ["B"]
    assert len(ears.data) == 1
    assert not ears.lost
    other.write(pack("PUBSUB", "NUMSUB", "news"))
    await asyncio.sleep(0.1)
    assert heard.data == [b":1\r\n", b"+PONG\r\n", b"*2\r\n$4\r\nnews\r\n:0\r\n"]
    other.close()
    await asyncio.sleep(0.1)
    assert not world.network.connections


@virtual
async def test_a_killed_process_has_written_what_arrives_and_nothing_behind_what_does_not() -> None:
    world = World(latency=lambda process, direction: 0.1, arrives=lambda _, name: name == "HSET")
    transport, _ = await raw(world.network)
    world.order("A", "SET", stall(5))
    transport.write(pack("SET", "a", 1))
    await asyncio.sleep(0.15)  # it is there, and not done yet
    transport.write(pack("HSET", "h", "f", 1) + pack("INCR", "b") + pack("HSET", "h", "g", 1))
    world.network.kill("A")
    await asyncio.sleep(6)
    assert world.server.keys() == ["a", "h"]
    assert world.server.fields("h") == {"f": "1"}
    assert not world.network.connections


@virtual
async def test_a_cut_connection_is_heard_of_after_the_replies_that_were_under_way() -> None:
    world = World(latency=lambda process, direction: 0.2)
    transport, ears = await raw(world.network)
    transport.write(pack("INCR", "n"))
    await asyncio.sleep(0.3)
    world.network.cut("B")
    world.network.cut("A")
    assert not transport.is_closing()
    transport.write(pack("INCR", "n"))  # into the void
    await until(lambda: bool(ears.lost))
    assert ears.data == [b":1\r\n"]
    assert transport.is_closing()
    assert isinstance(ears.lost[0], ConnectionResetError)
    world.network.cut()
    await asyncio.sleep(1)
    assert len(ears.lost) == 1


@virtual
async def test_replies_in_pieces_are_put_together() -> None:
    def bytewise(process: str, data: bytes) -> Sequence[bytes]:
        return [data[at : at + 1] for at in range(len(data))]

    world = World(pieces=bytewise, latency=lambda process, direction: 0.001)
    talk = await world.talk("A")
    claim = await talk.start()
    assert await talk.append(claim, records(5))
    assert await talk.log(claim.run.id) == records(5)
    await talk.store.close()
    transport, ears = await raw(world.network)
    transport.write(pack("INCR", "n"))
    await asyncio.sleep(1)
    assert ears.data == [b":", b"1", b"\r", b"\n"]
    transport.close()
    await asyncio.sleep(1)


@virtual
async def test_a_writer_waits_while_too_much_is_under_way() -> None:
    world = World(latency=lambda process, direction: 0.5)
    transport, ears = await raw(world.network)
    transport.write(pack("SET", "k", b"x" * 600_000))
    assert not ears.told
    await asyncio.sleep(0.1)
    transport.write(pack("SET", "k", b"y" * 600_000))
    assert ears.told == ["wait"]
    assert transport.get_write_buffer_size() > 1_200_000
    await asyncio.sleep(0.45)
    assert ears.told == ["wait"]
    await asyncio.sleep(0.1)
    assert ears.told == ["wait", "go on"]
    transport.abort()
    await asyncio.sleep(1)
    assert ears.lost == [None]


@virtual
async def test_each_side_runs_in_its_own_context() -> None:
    WHO.set("network")
    world = World()
    ran: list[str] = []
    world.server.on_write(lambda process, keys: ran.append(WHO.get()))
    WHO.set("process")
    transport, ears = await raw(world.network)
    WHO.set("somebody else")
    transport.write(pack("INCR", "n"))
    await asyncio.sleep(0.1)
    assert ran == ["network"]
    assert ears.contexts == ["process"]
    transport.close()
    await asyncio.sleep(0.1)
