"""Chats move from one store to another: all of them, as they are, once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.errors import CursorLost, MessageConflict, RunNotFound
from durable_llm_streams.migrate import opened
from durable_llm_streams.migrate.portable import ChatName, Content
from durable_llm_streams.model import Status
from durable_llm_streams.store import Append
from tests.histories import Histories, repeated, whole
from tests.migrating import (
    KEEPING,
    Partition,
    asked,
    disturbed,
    file,
    migrate,
    partition,
    reasons,
    redis,
    serving,
    told,
    written,
)
from tests.redis_servers import (
    ClusterSetup,
    RedisServer,
    keys_without_ttl,
    redis_cluster,
    redis_server,
)
from tests.sqlite_stores import nothing_left_open

__all__ = ["file", "partition", "redis", "redis_cluster", "redis_server"]

pytestmark = pytest.mark.xdist_group("redis")


async def without(missing: Content, contents: list[Content]) -> AsyncIterator[Content]:
    for content in contents:
        if content is not missing:
            yield content


@pytest.mark.promise("migration")
@pytest.mark.parametrize("seed", range(4))
async def test_a_way_there_and_back_changes_nothing(
    seed: int, file: str, redis: str, tmp_path: Path
) -> None:
    orders = await written(file, seed)
    before = await told(file, orders)
    assert any(log.records is None for log in before.logs.values()), "no log has expired"
    active = [log.run for log in before.logs.values() if not log.run.status.ended]
    assert min(run.epoch.number for run in active) == 0, "none waits"
    assert max(run.epoch.number for run in active) > 0, "none was begun"

    steps: list[tuple[str, int, int]] = []
    with nothing_left_open(tmp_path):
        there = await migrate(file, redis, watch=lambda *step: steps.append(step))
    assert steps == [(phase, done, 8) for phase in ("copy", "compare") for done in range(9)]
    assert (there.copied, there.found, there.conflicts) == (8, 0, [])
    assert there.compared == 8
    assert await told(redis, orders) == before

    back = await migrate(redis, f"sqlite:///{tmp_path}/back.db")
    assert (back.copied, back.compared, back.conflicts) == (8, 8, [])
    assert await told(f"sqlite:///{tmp_path}/back.db", orders) == before


@pytest.mark.promise("migration")
async def test_chats_move_between_a_single_redis_and_a_cluster(
    redis: str, redis_cluster: ClusterSetup
) -> None:
    orders = await written(redis, chats=40)
    before = await told(redis, orders)
    cluster = f"{redis_cluster.url}?{redis.partition('?')[2]}"
    for source, target in ((redis, cluster), (cluster, f"{redis}back")):
        outcome = await migrate(source, target)
        assert (outcome.copied, outcome.compared, outcome.conflicts) == (40, 40, [])
        assert await told(target, orders) == before


@pytest.mark.promise("migration", "fencing")
async def test_a_run_that_was_being_written_continues_in_the_target(file: str, redis: str) -> None:
    async with serving(file) as store:
        histories = Histories(store, 1)
        run = await histories.turn("c", "ann", outcome="running")
        waiting = await histories.turn("c", "ann", outcome="queued")
        old = histories.claims[run.id]
    before = await told(file, histories.orders)
    await migrate(file, redis)
    async with serving(redis) as store:
        assert not (await store.log.append([Append(run.id, old.epoch, 1, [b"{}"])]))[0]
        moved = await store.runs.find("ann", "c", run.id)
        assert (moved.status, moved.takeovers) == (Status.QUEUED, 0)
        (claim,) = await store.runs.claim("w", 10, 30)
        assert claim.run.takeovers == 0, "giving a run back is no takeover"
        assert claim.run.id == run.id, "the one that waits behind it is not claimable"
        assert claim.epoch.number == old.epoch.number + 1
        records = before.logs[run.id].records
        assert claim.next_seq == len(records) + 1
        assert claim.run.spans[:-1] == old.run.spans
        assert not (await store.log.append([Append(run.id, old.epoch, claim.next_seq, [b"{}"])]))[0]
        assert await store.log.append([Append(run.id, claim.epoch, claim.next_seq, [b'{"new":1}'])])
        page = await store.log.read(run.id, 0, max_bytes=1 << 30)
        assert list(page.records) == [*records, b'{"new":1}']
        assert (await store.runs.find("ann", "c", waiting.id)).status is Status.QUEUED
        order = histories.orders[-1]
        await repeated(store, order, message_id="next", key=None)
        versions = (await store.chats.snapshot("ann", "c")).versions
        assert [version[0] for version in versions[4:]] == ["next", f"{order.answer_id}again"]


@pytest.mark.promise("idempotent-send")
async def test_a_duplicate_message_is_still_recognized(file: str, redis: str) -> None:
    orders = [order for order in await written(file) if order.key is not None]
    assert orders
    await migrate(file, redis)
    async with serving(redis) as store:
        for order in orders:
            sent = await repeated(store, order)
            assert (sent.created, sent.run.id) == (False, order.run_id)
            with pytest.raises(MessageConflict):
                await repeated(store, order, content="other")


async def test_a_long_chat_passes_in_small_calls(file: str, tmp_path: Path) -> None:
    async with serving(file) as store:
        histories = Histories(store, 1)
        for number in range(3):
            records = [b'{"n":%d,"_":"%s"}' % (n, b"-" * 900) for n in range(4000)]
            await histories.turn(
                "c", "ann", records=records, outcome=("finished", "running")[number == 2]
            )
    before = await told(file, histories.orders)
    # The server closes a connection on which one command is longer than this.
    async with RedisServer(tmp_path, config=["client-query-buffer-limit 1mb"]) as server:
        moved = await migrate(file, server.url)
        assert (moved.compared, moved.conflicts) == (1, [])
        assert await told(server.url, histories.orders) == before


@pytest.mark.promise("no-leak")
async def test_nothing_stays_in_redis_for_ever_that_has_an_end(
    file: str, redis: str, partition: Partition
) -> None:
    await written(file)
    await migrate(file, redis)
    keys = await partition.keys()
    assert not [key for key in keys if ":moving:" in key]
    assert {key.split(":")[2] for key in keys if key.count(":") > 2} >= {"run", "log", "chat"}
    running = await partition.server.command("ZRANGE", f"{partition.root}:running", 0, -1)
    unended = {run.decode() for run in running}
    lasting = await keys_without_ttl(partition.server.url, f"{partition.root}:")
    kinds = {"run", "log", "chat", "order", "tree", "body", "keys", "owner"}
    left = [key for key in lasting if key.split(":")[2] in kinds]
    assert unended
    assert {key.split(":")[3] for key in left} == unended


@pytest.mark.promise("migration")
async def test_chats_that_the_target_holds_already_stay_as_they_are(file: str, redis: str) -> None:
    theirs = await written(redis, seed=7)
    before = await told(redis, theirs)
    orders = await written(file, seed=8)
    outcome = await migrate(file, redis)
    assert (outcome.copied, outcome.compared, outcome.conflicts) == (8, 8, [])
    async with serving(redis) as store:
        for both, one in ((theirs, before), (orders, await told(file, orders))):
            after = await whole(store, both)
            assert after[1:] == one[1:]
            for owner, chats in one.chats.items():
                assert [chat for chat in after.chats[owner] if chat in chats] == chats


@pytest.mark.promise("migration", "owned")
async def test_a_chat_with_more_in_it_is_a_conflict_and_another_owners_is_none(
    file: str, redis: str
) -> None:
    await asked(file, "foreign", "grown", "renamed", "same")
    await migrate(file, redis)
    async with serving(redis) as store:
        await store.chats.delete("ann", "foreign")
        there = Histories(store, 2)
        await there.turn("foreign", "bob", outcome="finished")
        await there.turn("grown", "ann", outcome="finished")
        await store.chats.rename("ann", "renamed", "A new name")
        before = await whole(store, there.orders)
    outcome = await migrate(file, redis)
    assert (outcome.copied, outcome.found, outcome.compared) == (1, 1, 2)
    assert sorted(outcome.conflicts) == [
        (("ann", "grown"), "has another title, head or time there"),
        (("ann", "renamed"), "has another title, head or time there"),
    ]
    after = await told(redis, there.orders)
    assert after.logs == before.logs
    assert after.chats["bob"] == before.chats["bob"]
    assert [c for c in after.chats["ann"] if c.id != "foreign"] == before.chats["ann"]


@pytest.mark.promise("migration")
async def test_a_run_whose_id_is_taken_is_a_conflict(file: str, redis: str) -> None:
    await asked(file, "one")
    await asked(redis, "other")
    for source, target in ((file, redis), (redis, file)):
        assert reasons(await migrate(source, target)) == ["has a run whose id is taken there"]


@pytest.mark.promise("migration")
async def test_the_comparison_finds_every_planted_difference(
    file: str, redis: str, partition: Partition
) -> None:
    first_order = (await asked(file, "c", "c")).orders[0]
    root, question, run_id = partition.root, first_order.message_id or "", first_order.run_id

    async def planted(*command: str | int) -> list[str]:
        """What is said when something was changed behind the target's back."""
        await partition.server.command("DEL", *await partition.keys(), "none")
        assert (await migrate(file, redis)).conflicts == []
        await partition.server.command(*command)
        return reasons(await migrate(file, redis))

    run_key, log_key = f"{root}:run:{run_id}", f"{root}:log:{run_id}"
    log = [f"has another log of run {run_id} there"]
    assert await planted("PING") == []
    first, second = map(bytes.decode, await partition.server.command("LRANGE", log_key, 0, 1))
    assert await planted("LSET", log_key, 0, first.replace("0", "1", 1)) == log
    assert await planted("LSET", log_key, 3, "{}") == log
    assert await planted("RPUSH", log_key, "{}") == log
    assert await planted("LPOP", log_key) == log
    moved = "for i = 1, 2 do redis.call('LSET', KEYS[1], i - 1, ARGV[i]) end"
    assert await planted("EVAL", moved, 1, log_key, first + second[0], second[1:]) == log
    assert await planted("DEL", log_key) == log
    body = ["has a message with another text there"]
    assert await planted("HSET", f"{root}:body:ann/c", question, "{}") == body
    text = (await partition.server.command("HGET", f"{root}:body:ann/c", question)).decode()
    assert await planted("HSET", f"{root}:body:ann/c", question, text.swapcase()) == body
    assert await planted("HDEL", f"{root}:body:ann/c", question) == body
    runs = ["has other runs there"]
    for field in ("content", "key", "epoch", "token", "takeovers", "model", "created", "ended"):
        assert await planted("HSET", run_key, field, "77") == runs, field
    assert await planted("HSET", run_key, "spans", "1:1:abc") == runs
    assert await planted("HSET", run_key, "status", "failed") == runs
    assert await planted("DEL", run_key) == runs
    messages = ["has other messages there"]
    assert await planted("HSET", f"{root}:tree:ann/c", question, "user||1|") == messages
    assert await planted("ZADD", f"{root}:order:ann/c", 99, question) == messages
    assert await planted("ZREM", f"{root}:order:ann/c", question) == messages
    chat = ["has another title, head or time there"]
    for field in ("title", "head", "created", "updated"):
        assert await planted("HSET", f"{root}:chat:ann/c", field, "77") == chat, field
    assert await planted("PING") == []


async def test_a_log_that_has_outlived_its_retention_is_not_missed(
    file: str, redis: str, partition: Partition
) -> None:
    run, last = [order.run_id for order in (await asked(file, "c", "c")).orders]
    await migrate(file, redis)
    await partition.server.command("DEL", f"{partition.root}:log:{run}")
    assert reasons(await migrate(file, redis)) == [f"has another log of run {run} there"]
    assert reasons(await migrate(file, redis, log_age=0.0)) == []
    await partition.server.command("LSET", f"{partition.root}:log:{last}", 0, "{}")
    found = reasons(await migrate(file, redis, log_age=0.0))
    assert found == [f"has another log of run {last} there"]


@pytest.mark.promise("migration")
async def test_a_chat_that_goes_during_the_migration_is_noticed_at_the_end(
    file: str, redis: str, partition: Partition
) -> None:
    async def lose(number: int, chat: str, add_chat: Any) -> bool:
        done: bool = await add_chat()
        (key,) = await partition.keys(f":0}}:chat:*/{chat}")
        await partition.server.command("DEL", key)
        return done

    await written(file)
    outcome = await disturbed(file, redis, lose)
    assert (reasons(outcome), outcome.compared) == (["is missing there"] * 8, 0)


@pytest.mark.promise("migration")
async def test_an_incomplete_chat_stops_no_other(file: str, redis: str, tmp_path: Path) -> None:
    torn = (await asked(file, "torn", "whole")).orders[0].run_id
    with closing(sqlite3.connect(tmp_path / "chats.db")) as connection, connection:
        statement = "DELETE FROM segment WHERE run = (SELECT key FROM run WHERE id = ?)"
        connection.execute(statement, (torn,))
    outcome = await migrate(file, redis)
    assert outcome.conflicts == [
        (("ann", "torn"), "cannot be read as a whole: a part of it is missing")
    ]
    assert (outcome.copied, outcome.compared) == (1, 1)
    async with serving(redis) as store:
        assert [chat.id for chat in (await store.chats.page("ann")).chats] == ["whole"]


@pytest.mark.promise("migration")
async def test_a_chat_arrives_as_a_whole_or_not_at_all(
    file: str, redis: str, partition: Partition, tmp_path: Path
) -> None:
    run_id = (await asked(file, "c")).orders[0].run_id
    for target in (redis, f"sqlite:///{tmp_path}/other.db"):
        async with opened(file, target, *KEEPING) as (reading, writing):
            outline = await reading.outline(ChatName("ann", "c"))
            assert outline is not None
            contents = [content async for content in reading.contents(outline)]
            assert len(contents) == 2
            for missing in contents:
                with pytest.raises(CursorLost):
                    await writing.add_chat(outline, without(missing, contents))
                assert await writing.outline(ChatName("ann", "c")) is None
                assert await writing.count() == 0
    for kind in ("run", "log", "order"):
        assert await partition.keys(f":0}}:moving:*:{kind}:*"), kind
    assert await keys_without_ttl(partition.server.url, partition.root) == []
    async with serving(redis) as store:
        with pytest.raises(RunNotFound):
            await store.log.read(run_id, 0)
