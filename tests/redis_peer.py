"""The servers' ends of connections to Redis, without a network: a test says what they reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import hiredis
import pytest

from durable_llm_streams.stores.redis.client.address import Node, RedisAddress
from durable_llm_streams.stores.redis.client.connection import Connection
from durable_llm_streams.stores.redis.client.database import Database

_UNFINISHED: Final = object()

#: In the place of a reply: the server cuts the connection.
CUT: Final = b"cut"

#: The bytes that a server answers a command with, or `CUT`; None is no reply.
Answer = Callable[[Node | None, list[bytes]], bytes | None]


class Peer(asyncio.Transport):
    """The transport of one connection.

    Args:
        protocol: the client's end.
        answer: replies to commands.

    Attributes:
        protocol: as given.
        commands: all that were received.
        writes: how many writes to the socket brought them.
        aborted: whether the client has given the connection up.
        left: whether it has closed it, which it may do after a cut, too.
        stuck: whether closing waits for bytes that the server does not take.
    """

    def __init__(
        self, protocol: asyncio.Protocol, answer: Callable[[list[bytes]], bytes | None]
    ) -> None:
        super().__init__()
        self.protocol = protocol
        self.commands: list[list[bytes]] = []
        self.writes = 0
        self.aborted = self.left = self.stuck = False
        self._answer = answer
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_UNFINISHED)
        protocol.connection_made(self)

    def say(self, data: bytes) -> None:
        """The client receives something."""
        self.protocol.data_received(data)

    def cut(self) -> None:
        """The connection breaks."""
        self._closing = True
        self.protocol.connection_lost(ConnectionResetError("reset"))

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        self.writes += 1
        self._reader.feed(data)
        while (words := self._reader.gets()) is not _UNFINISHED:
            self.commands.append(words)
            reply = self._answer(words)
            if reply == CUT:
                self._loop.call_soon(self.cut)
            elif reply is not None:
                self._loop.call_soon(self.say, reply)

    def close(self) -> None:
        self.left = True
        if not self._closing:
            self._closing = True
            if not self.stuck:
                self._loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.stuck, stuck = False, self.stuck
        if stuck and self._closing:
            self._loop.call_soon(self.protocol.connection_lost, None)
        self.close()


class Peers:
    """Opens connections to peers, as `Dialer` does.

    Args:
        answer: replies to the commands of a server; None is the only one.

    Attributes:
        answer: as given; it may be replaced.
        opened: all connections, in their order.
        nodes: the server of each.
        dialed: when each opening began, in the loop's time.
        failure: why no connection can be opened now, if so.
        hanging: whether opening a connection takes for ever now.
    """

    def __init__(self, answer: Answer = lambda node, words: None) -> None:
        self.answer = answer
        self.opened: list[Peer] = []
        self.nodes: list[Node | None] = []
        self.dialed: list[float] = []
        self.failure: Exception | None = None
        self.hanging = False

    @classmethod
    def replying(cls, *replies: bytes | None) -> Peers:
        """Replies that are sent one after the other, to any command."""
        left = iter(replies)
        return cls(lambda node, words: next(left))

    @property
    def commands(self) -> list[list[bytes]]:
        """All that were received, by connection."""
        return [words for peer in self.opened for words in peer.commands]

    def database(self, address: str = "redis://nowhere?timeout=5") -> Database:
        """A client whose connections lead here."""
        with pytest.MonkeyPatch.context() as patch:
            seam = "durable_llm_streams.stores.redis.client.database.Dialer"
            patch.setattr(seam, lambda _: self)
            return Database(RedisAddress.parse(address))

    async def dial(self, node: Node | None = None) -> Connection:
        """See `Dialer.dial`."""
        self.dialed.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
        if self.hanging:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return self.connect(node)

    def connect(self, node: Node | None = None) -> Connection:
        """A connection without authentication."""
        connection = Connection()
        self.opened.append(Peer(connection, lambda words: self.answer(node, words)))
        self.nodes.append(node)
        return connection


def bulk(word: bytes) -> bytes:
    """A text as the protocol has it."""
    return b"$%d\r\n%b\r\n" % (len(word), word)


def array(*words: bytes) -> bytes:
    """Texts as the protocol has them."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


def confirmed(words: list[bytes]) -> bytes:
    """What a subscriber is replied."""
    if words[0] == b"PING":
        return b"+PONG\r\n"
    kind = bulk(words[0].lower())
    return b"".join(b"*3\r\n" + kind + bulk(channel) + b":1\r\n" for channel in words[1:])
