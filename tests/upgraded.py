"""A store that the version before made, and what must be true after this one has opened it.

`sqlite_version_2.sql` and `redis_layout_1*.jsonl` hold the same. Ann's chat c1 has an answer, one
that was being written when the server was killed, and one that waits behind it; c4 has two answers
to one question. Bob's chat is c2. The owner acme/eve has c3, whose answer waits for a worker.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from durable_llm_streams.model import Status
from durable_llm_streams.stores.redis.client.address import RedisAddress
from tests.contract.harness import LAST, LEASE, Talk, records
from tests.redis_servers import RedisServer

VERSION_2 = Path(__file__).with_name("sqlite_version_2.sql").read_text()

SECRET = bytes(range(32))
WRITTEN = records(3)
CHATS = {"ann": ["c1", "c4"], "bob": ["c2"], "acme/eve": ["c3"]}


async def fill_layout_1(server: RedisServer, address: RedisAddress) -> None:
    """Write a store of layout 1 at an address with one partition or four."""
    name = "redis_layout_1.jsonl" if address.partitions == 1 else "redis_layout_1_partitions.jsonl"
    for line in Path(__file__).with_name(name).read_text().splitlines():
        command: list[str] = json.loads(line)
        command[1] = command[1].replace("PREFIX", address.prefix, 1)
        await server.command(*command)


async def assert_serves_on(talk: Talk) -> None:
    """Chats, cookies, cursors, repeated requests and answers go on as they were."""
    talk._numbers = itertools.count(100)
    store = talk.store
    assert await store.meta("secret", b"another") == SECRET
    for owner, chats in CHATS.items():
        assert sorted(await talk.chat_ids(owner)) == chats
    before = await talk.snapshot("a2")
    assert [message.id for message in before.messages] == ["m1", "a1", "m2", "a2", "m3", "a3"]
    assert (before.chat.title, before.messages[1].body) == ("Renamed", b'{"text":"hello you"}')
    assert before.log is not None
    assert list(before.log.records) == WRITTEN
    assert list((await store.log.read("r0002", 2)).records) == WRITTEN[2:]
    assert await talk.log("r0001") == [LAST]
    again = await talk.send("m1", key="k1", content="x")
    assert (again.created, again.run.id, again.run.owner) == (False, "r0001", "ann")
    await _finish_everything(talk)
    await _take_ids_of_others(talk)


async def _finish_everything(talk: Talk) -> None:
    talk.clock.advance(LEASE + 1)
    claims = {claim.run.id: claim for claim in await talk.claims()}
    assert set(claims) == {"r0002", "r0005"}
    cut = claims["r0002"]
    assert (cut.epoch.number, cut.next_seq, cut.run.owner) == (2, 4, "ann")
    assert await talk.append(cut, records(2, mark="y"))
    ended = await talk.end(cut)
    assert await talk.log("r0002") == [*WRITTEN, *records(2, mark="y"), LAST]
    assert await talk.find("r0002") == ended
    (waiting,) = await talk.claims()
    assert waiting.run.id == "r0003"
    await talk.end(waiting)
    await talk.end(claims["r0005"])
    assert (await talk.store.chats.snapshot("acme/eve", "c3")).run is None
    assert (await talk.snapshot()).run is None
    assert all(run.status is Status.FINISHED for run in await talk.store.operators.newest())


async def _take_ids_of_others(talk: Talk) -> None:
    theirs = await talk.answer("m1", "c1", owner="bob")
    assert (await talk.store.chats.snapshot("bob", "c1")).chat.head == theirs.message_id
    await talk.answer(None, "c4", place="again", anchor="m1")
    assert len((await talk.snapshot(chat="c4")).versions) == 4
    await talk.store.chats.rename("ann", "c4", "Kept")
    await talk.store.chats.delete("ann", "c1")
    assert await talk.chat_ids("ann") == ["c4"]
    assert sorted(await talk.chat_ids("bob")) == ["c1", "c2"]
