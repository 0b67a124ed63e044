"""A real Redis beside the model: both are asked the same, and must say the same."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final, Self

import hiredis

from .command import Words
from .messages import Client
from .server import ModelRedis
from .values import encoded_error

_SECONDS: Final = 20.0
_UNFINISHED: Final = object()

#: So many milliseconds may lie between the moments at which both look at their clocks.
_TOLERANCE: Final = 60_000

#: A command and its arguments.
Step = tuple[str | bytes | int, ...]

#: The version whose errors the model words as it does.
_MODELLED: Final = b"7.0."

#: What is about the connection or the server itself, so that it cannot be the same.
_OWN: Final = (b"SUBSCRIBE", b"UNSUBSCRIBE", b"PING", b"INFO", b"CONFIG", b"ROLE", b"PUBSUB")


class RealRedis:
    """One connection to a real server. It waits for each reply. Close it after use.

    Args:
        port: the server's, on loopback.

    Attributes:
        same_version: whether the server words its errors as the model does.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self.same_version = b"redis_version:" + _MODELLED in self.ask(b"INFO", b"server")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, *words: bytes | str | int) -> bytes:
        """Send a command. Returns the reply as it came, byte for byte."""
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # see `pack`
        replies = hiredis.Reader(notEnoughData=_UNFINISHED)
        reply = b""
        while True:
            part = self._socket.recv(1 << 20)
            assert part, "the server has closed the connection"
            reply += part
            replies.feed(part)
            if replies.gets() is not _UNFINISHED:
                return reply

    def says_the_same(self, real: bytes, model: bytes) -> bool:
        """Whether two replies are the same, as far as this server's version can say so."""
        if self.same_version or not real.startswith(b"-"):
            return real == model
        return real.split()[0] == model.split()[0]

    def empty(self) -> None:
        """Forget all keys and scripts."""
        self.ask("FLUSHALL")
        self.ask("SCRIPT", "FLUSH")


class Both:
    """A model and a real server, both asked the same. Their clocks are the machine's.

    Args:
        real: it is emptied first.

    Attributes:
        model: of it.
    """

    def __init__(self, real: RealRedis) -> None:
        self._real = real
        self.model = ModelRedis(lambda: time.time_ns() // 1_000_000)
        self._client = self.model.connect("both", _never)
        real.empty()

    def _model_says(self, *words: str | bytes | int) -> bytes:
        packed = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return self.model.execute(self._client, packed)

    def ask(self, *words: str | bytes | int) -> bytes:
        """Ask both. Returns what both say."""
        real, model = self._real.ask(*words), self._model_says(*words)
        if str(words[0]).upper() in ("TTL", "PTTL"):
            assert abs(replied(real) - replied(model)) < _TOLERANCE, words
        else:
            assert self._real.says_the_same(real, model), f"{words}: {real!r}, not {model!r}"
        return model

    def compare_everything(self) -> None:
        """Every key, its type, what it holds, and how long."""
        keys = sorted(replied(self._real.ask("KEYS", "*")))
        assert keys == sorted(map(str.encode, self.model.keys()))
        readings: dict[bytes, Step] = {
            b"+string\r\n": ("GET",),
            b"+hash\r\n": ("HGETALL",),
            b"+list\r\n": ("LRANGE", 0, -1),
            b"+zset\r\n": ("ZRANGE", 0, -1, "WITHSCORES"),
        }
        for key in keys:
            command, *rest = readings[self.ask("TYPE", key)]
            self.ask(command, key, *rest)
            self.ask("PTTL", key)


class Twins(ModelRedis):
    """A model that asks a real server the same, and refuses to go on when they differ.

    Args:
        clock: see `ModelRedis`.
        real: it is emptied first.
    """

    def __init__(self, clock: Callable[[], int], real: RealRedis) -> None:
        super().__init__(clock)
        self._real = real
        real.empty()

    def execute(self, client: Client, words: Words) -> bytes:
        """See `ModelRedis.execute`. An error that begins with TWINS tells where they differ."""
        model = super().execute(client, words)
        if words[0].upper() in _OWN:
            return model
        real = self._real.ask(*words)
        if not self._real.says_the_same(real, model):
            text = (
                f"TWINS differ in {words!r:.2000}: the real one says {real!r}, {model!r} the model"
            )
            return encoded_error(text.encode())
        return model


def replied(raw: bytes) -> Any:
    """A reply as a value; an error as an exception object."""
    replies = hiredis.Reader()
    replies.feed(raw)
    return replies.gets()


def _never(message: bytes) -> None:
    raise AssertionError(f"Nobody has subscribed: {message!r}")
