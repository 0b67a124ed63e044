"""A real Redis beside the model: both run the same, and must reply the same."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from redis import Redis
from redis.exceptions import ResponseError

from durable_llm_streams.stores.redis.client.script import Script

from .keyspace import ErrorReply, Reply, SortedSet, Value
from .server import ModelRedis

#: The two clocks are read at different moments: so many milliseconds may lie between them.
_TOLERANCE = 60_000

#: The token of a change in a feed: the microsecond when it was written.
_TOKEN = re.compile(rb'"\d{16}"\]$')


@dataclass(frozen=True)
class Refused:
    """An error reply. Any is as good as any other: no caller of a script distinguishes them."""

    text: str = field(compare=False)


class RealRedis:
    """One connection to a real server.

    Args:
        port: the server's, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._redis = Redis(port=port, socket_timeout=100.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def empty(self) -> None:
        """Delete all keys."""
        self._redis.flushall()

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Any:
        """The reply to a script."""
        try:
            return self._redis.execute_command("EVAL", script.text, len(keys), *keys, *args)
        except ResponseError as error:
            return Refused(str(error))

    def values(self) -> dict[bytes, Any]:
        """What all keys hold, as `shown` has it."""
        redis: Any = self._redis
        reads: Mapping[bytes, Callable[[bytes], Any]] = {
            b"string": redis.get,
            b"hash": lambda key: list(redis.hgetall(key).items()),
            b"list": lambda key: redis.lrange(key, 0, -1),
            b"zset": lambda key: [
                (score, member) for member, score in redis.zrange(key, 0, -1, withscores=True)
            ],
        }
        return {key: reads[redis.type(key)](key) for key in sorted(redis.keys())}

    def ttl(self, key: bytes) -> int:
        """Milliseconds; -1 is for ever."""
        redis: Any = self._redis
        return int(redis.pttl(key))


class Both:
    """A model and a real server that run the same. Their clocks are the machine's.

    Args:
        real: it is emptied first.
    """

    def __init__(self, real: RealRedis) -> None:
        self.model = ModelRedis(lambda: time.time_ns() // 1_000_000)
        self._real = real
        real.empty()

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """Run a script on both. Returns what both reply."""
        words = [each if isinstance(each, bytes) else each.encode() for each in args]
        names = list(map(str.encode, keys))
        model = replied(self.model, script, names, words)
        real = self._real.run(script, names, words)
        same = without_tokens(model) == without_tokens(real)
        assert same, f"{script} {keys} {args}: {real!r} is right, not {model!r}"
        return model

    def compare_everything(self) -> None:
        """Every key, what it holds, and when it expires."""
        real = self._real.values()
        model = {key: shown(value) for key, value in sorted(self.model.look().values.items())}
        same = without_tokens(model) == without_tokens(real)
        assert same, f"{real!r} is right, not {model!r}"
        for key in real:
            left, expected = self.model.ttl(key.decode()), self._real.ttl(key)
            near = expected == -1 if left is None else abs(left - expected) < _TOLERANCE
            assert near, f"{key!r} has {expected} ms left, not {left}"


def without_tokens(value: Any) -> Any:
    """Values without the tokens of changes, which each server draws from its own clock."""
    if isinstance(value, bytes):
        return _TOKEN.sub(b'"TOKEN"]', value)
    if isinstance(value, Mapping):
        return {key: without_tokens(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_tokens(each) for each in value]
    return value


class Twins(ModelRedis):
    """A model beside a real server: whatever script runs on the one also runs on the other.

    Args:
        clock: see `ModelRedis`.
        real: it is emptied first.
    """

    def __init__(self, clock: Callable[[], int], real: RealRedis) -> None:
        super().__init__(clock)
        self._real = real
        real.empty()

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        """See `ModelRedis.run`."""
        reply = super().run(script, keys, args)
        real = self._real.run(script, keys, args)
        same = without_tokens(reply) == without_tokens(real)
        assert same, f"{script} {keys} {args}: {real!r} is right, not {reply!r}"
        return reply


def replied(model: ModelRedis, script: Script, keys: list[bytes], args: list[bytes]) -> Any:
    """The model's reply to a script."""
    try:
        return model.run(script, keys, args)
    except ErrorReply as error:
        return Refused(str(error))


def shown(value: Value) -> Any:
    """A value of the model, with the order of what it holds."""
    if isinstance(value, SortedSet):
        return value.order
    return list(value.items()) if isinstance(value, dict) else value
