"""What is deleted leaves every key of Redis at once."""

from __future__ import annotations

from typing import Any

import pytest

from durable_llm_streams.model import Status
from tests.contract.harness import DAY, HOUR, Talk, records
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores, stores, talk

__all__ = ["redis_server", "stores", "talk"]

pytestmark = [pytest.mark.xdist_group("redis"), pytest.mark.promise("erased")]

#: How to read everything that a key of each type holds.
READS: dict[bytes, tuple[str | int, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"zset": ("ZRANGE", 0, -1),
}


async def keys_with(server: RedisServer, root: str, *words: str) -> set[str]:
    """The keys of a partition in whose name or value one of the words is."""
    found = set()
    for key in await server.command("KEYS", f"{root}:*"):
        command, *rest = READS[await server.command("TYPE", key)]
        held: Any = await server.command(command, key, *rest)
        text = repr((key, held))
        is_mark = key.startswith(f"{root}:gone:".encode())  # the run's id alone, for an hour
        if any(word in text for word in words) and (held or not is_mark):
            found.add(key.decode().removeprefix(f"{root}:"))
    return found


async def secret_chat(talk: Talk, chat: str) -> set[str]:
    """A chat with secrets everywhere. Returns the ids of its runs."""
    runs = set()
    for number, status in enumerate((Status.FINISHED, Status.STOPPED, Status.FAILED)):
        claim = await talk.start(
            f"{chat}-{number}",
            chat,
            title="SECRET title",
            body=b'{"text":"SECRET"}',
            key=f"SECRET-key-{number}",
        )
        runs.add(claim.run.id)
        await talk.append(claim, records(20, 100, "SECRET"))
        await talk.end(claim, status=status, body=b'{"text":"SECRET"}')
        await talk.store.chats.rename("ann", chat, f"SECRET {number}")
    return runs


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_deleted_chat_leaves_no_word_in_any_key(
    talk: Talk, stores: RedisStores, redis_server: RedisServer, is_running: bool
) -> None:
    await talk.answer(chat="other")
    runs = await secret_chat(talk, "gone")
    if is_running:
        claim = await talk.start("last", "gone", body=b"SECRET")
        await talk.append(claim, records(20, 100, "SECRET"))
        await talk.send("waits", "gone", body=b"SECRET", queue=True)
        runs.add(claim.run.id)
    words = ("SECRET", *runs)
    assert {"feed:ann", "chat:ann/gone", "body:ann/gone"} < await keys_with(
        redis_server, stores.root, *words
    )
    await talk.store.chats.delete("ann", "gone")
    assert await keys_with(redis_server, stores.root, *words) == set()
    assert await keys_with(redis_server, stores.root, "gone") == {"feed:ann"}
    assert await talk.chat_ids() == ["other"]


async def test_retention_leaves_no_word_in_any_key(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    runs = await secret_chat(talk, "gone")
    await talk.pass_time(DAY + HOUR)
    assert await talk.expire(chat_age=DAY) > 1
    assert await keys_with(redis_server, stores.root, "SECRET", *runs) == set()


@pytest.mark.promise("feed")
async def test_a_feed_goes_on_from_a_change_of_a_deleted_chat(talk: Talk) -> None:
    begin = (await talk.store.feed.changes("ann", None)).position
    await talk.answer(chat="other")
    await talk.answer(chat="gone")
    changes = (await talk.store.feed.changes("ann", begin)).changes
    await talk.store.chats.delete("ann", "gone")
    for position in (begin, *(change.position for change in changes)):
        found = await talk.store.feed.changes("ann", position)
        assert found.complete
        told = [change.kind for change in found.changes if change.chat_id == "gone"]
        assert told == ["chat-deleted"]
    assert [change.chat_id for change in (await talk.store.feed.changes("ann", begin)).changes] == [
        *("other", "other", "other", "gone")
    ]
