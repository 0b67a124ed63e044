"""A master dies and Sentinels name another one; a slot of a Cluster moves to another master."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from durable_llm_streams.stores.redis.client.cluster import slot_of
from tests.crash.places import RedisPlace
from tests.crash.reader import Reader
from tests.crash.rig import QUESTION, Rig, rig
from tests.redis_servers import ClusterSetup, SentinelSetup
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("crash_failover"), pytest.mark.timeout(300)]


async def asked(it: Rig, chats: Sequence[str], record: int) -> list[Reader]:
    """A question in each chat, asked at one server and read at both."""
    one, other = (server.url for server in it.servers)
    readers = [it.reader(chat, one, other).ask(QUESTION) for chat in chats]
    readers += [it.reader(chat, other, one).follow() for chat in chats]
    for reader in readers:
        await reader.reaches(record)
    return readers


@pytest.mark.promise("outage", "lost-tail-is-told")
async def test_answers_are_completed_behind_a_sentinel_failover(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path) as sentinels, rig(tmp_path, sentinels.url) as it:
        readers = await asked(it, [f"chat-{number}" for number in range(4)], 30)
        old = await sentinels.kill_master()
        await sentinels.failed_over(old)
        # Replication is not waited for: a reader whose last records were lost starts over.
        for reader in readers:
            await reader.finish()
            assert reader.reading.lost in (0, 404, 410)
            if reader.reading.lost:
                it.readers.remove(reader)
                it.reader(reader.reading.chat).ask(QUESTION)
        await it.verify()


@pytest.mark.promise("outage", "idempotent-send")
async def test_chats_wait_while_their_slot_moves_to_another_master(tmp_path: Path) -> None:
    async with (
        ClusterSetup(tmp_path, appendfsync="always") as cluster,
        rig(tmp_path, cluster.url) as it,
    ):
        assert isinstance(it.place, RedisPlace)
        await it.reader("first").ask(QUESTION).finish()
        owner = (await it.place.runs())[0].owner
        slots = {
            chat: slot_of(it.place.store._partitions.of_chat(owner, chat).root)
            for chat in map("chat-{}".format, range(100))
        }
        chat, late, *_ = sorted(slots, key=slots.__getitem__)  # the first master has both
        readers = await asked(it, [chat], 30)
        async with (
            it.watched(),
            cluster.moving(slots[chat], cluster.servers[0], cluster.servers[1]),
        ):
            waiting = it.reader(chat).ask(QUESTION)  # a duplicate
            await until(lambda: 503 in waiting.reading.statuses, what="a send to be refused")
            it.reader(late).ask(QUESTION)
        await it.verify()
        assert len({reader.reading.run_id for reader in [*readers, waiting]}) == 1, "a second run"
