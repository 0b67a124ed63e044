"""`memory`: what an answer takes in Redis, from its keys' own sizes (MEMORY USAGE)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from redis import Redis

from durable_llm_streams.runs import Worker
from durable_llm_streams.source import Event, Finish, Prompt, TextDelta
from durable_llm_streams.store import Order
from durable_llm_streams.stores.redis import RedisAddress, RedisStore

from ..report import Figure
from ..tokens import token
from .book import Book
from .servers import redis_alone
from .sizes import Size

TARGET: Final = 1.5

_WAIT: Final = 60.0


class _Answer:
    """A source of one answer of so many tokens."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """See `Source.stream`."""
        for number in range(1, self._tokens + 1):
            yield TextDelta(token(number))
            if number % 100 == 0:
                await asyncio.sleep(0)
        yield Finish(reason="stop", metadata={})

    def can_prefill(self, model: str) -> bool:
        """See `Source.can_prefill`."""
        return False

    async def close(self) -> None:
        """See `Source.close`."""


def memory(book: Book, size: Size) -> Iterator[Figure]:
    """Have one answer written and look at every key."""
    with redis_alone() as port, Redis(port=port) as redis:
        asyncio.run(_write(f"redis://127.0.0.1:{port}", size.answer))
        keys = {key.decode(): redis.memory_usage(key, samples=0) or 0 for key in redis.scan_iter()}
        log = next(key for key in keys if ":log:" in key)
        records: list[bytes] = redis.lrange(log, 0, -1)
    json = sum(map(len, records))
    largest = sorted(keys.items(), key=lambda item: -item[1])[:5]
    book.say(f"memory: {json} bytes of JSON; " + ", ".join(f"{k} {n}" for k, n in largest))
    book.raw.append({"what": "memory", "keys": keys, "json": json})
    yield Figure(
        name=f"{size.answer} tokens: all keys / JSON of the records",
        values=[sum(keys.values()) / json],
        target=TARGET,
    )
    for name, value in (
        ("a record's JSON, mean", json / len(records)),
        ("the log, for each token", keys[log] / size.answer),
        ("everything, for each token", sum(keys.values()) / size.answer),
    ):
        yield Figure(name=f"{size.answer} tokens: {name}", values=[value], unit="bytes")


async def _write(url: str, tokens: int) -> None:
    store = RedisStore(RedisAddress.parse(url))
    await store.open()
    worker = Worker(store, _Answer(tokens), name="bench")
    await worker.start()
    try:
        order = Order(
            owner="bench",
            chat_id="bench",
            place="follow",
            run_id="0" * 22,
            answer_id="answer",
            model="plain",
            message_id="question",
            body=b'{"id":"question","role":"user","parts":[{"type":"text","text":"Hello"}]}',
            title="Hello",
            now=worker.now(),
        )
        run = (await worker.send(order)).run
        async with asyncio.timeout(_WAIT):
            after = 0
            while True:
                page = await store.log.read(run.id, after, wait=1.0)
                after += len(page.records)
                if page.status.ended and after + 1 == page.next_seq:
                    return
    finally:
        await worker.close()
        await store.close()
