"""A real Redis and the model: both run the same scripts, and must reply and hold the same."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from durable_llm_streams.stores.redis.client.script import Script

from .keyspace import ErrorReply, Reply, SortedSet
from .server import ModelRedis

#: Milliseconds that may lie between two looks at the clock.
_TOLERANCE = 60_000

#: The token of a change in a feed: the microsecond when it was written.
_TOKEN = re.compile(rb'"\d{16}"(,1)?\]$')


class Twins(ModelRedis):
    """A model beside a real server: each script that runs on the one also runs on the other.

    Their clocks are the machine's.
    """

    def __init__(self, real: Redis) -> None:
        super().__init__(lambda: time.time_ns() // 1_000_000)
        self._real: Any = real
        real.flushall()

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        """See `ModelRedis.run`. Which error a script raises makes no difference to its callers."""
        reply: Any
        try:
            reply = super().run(script, keys, args)
        except ErrorReply as error:
            reply = error
        try:
            real = self._real.execute_command("EVAL", script.text, len(keys), *keys, *args)
        except ResponseError as error:
            real = error
        if isinstance(reply, ErrorReply) and isinstance(real, ResponseError):
            raise reply
        same = without_tokens(reply) == without_tokens(real)
        assert same, f"{script} {keys} {args}: {real!r} is right, not {reply!r}"
        return reply  # type: ignore[no-any-return]

    def compare_everything(self) -> None:
        """Every key, what it holds, and when it expires; the clocks are read at two moments."""
        redis = self._real
        reads = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"list": lambda key: redis.lrange(key, 0, -1),
            b"zset": lambda key: dict(redis.zrange(key, 0, -1, withscores=True)),
        }
        real = {key: (reads[redis.type(key)](key), redis.pttl(key)) for key in redis.keys("*")}
        model = {
            key: (value.scores if isinstance(value, SortedSet) else value, self.ttl(key.decode()))
            for key, value in self.look().values.items()
        }
        assert real.keys() == model.keys(), f"{sorted(real)} are right, not {sorted(model)}"
        for key, (value, left) in model.items():
            right, expires = real[key]
            same = without_tokens(value) == without_tokens(right)
            assert same, f"{key!r} holds {right!r}, not {value!r}"
            near = expires == -1 if left is None else abs(left - expires) < _TOLERANCE
            assert near, f"{key!r} has {expires} ms left, not {left}"


def without_tokens(value: Any) -> Any:
    """Values without the tokens of changes, which each server draws from its own clock."""
    if isinstance(value, bytes):
        return _TOKEN.sub(rb'"TOKEN"\1]', value)
    if isinstance(value, Mapping):
        return {key: without_tokens(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_tokens(each) for each in value]
    return value
