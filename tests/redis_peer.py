"""The server's end of a connection to Redis, without a network: a test says what it replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import hiredis

from durable_llm_streams.stores.redis.client.address import Node

_UNFINISHED: Final = object()

#: The bytes that a command is answered with; None is no reply.
Answer = Callable[[list[bytes]], bytes | None]


def _silent(words: list[bytes]) -> bytes | None:
    return None


class Peer(asyncio.Transport):
    """The transport of one connection.

    Args:
        answer: replies to commands; without it, nothing does.

    Attributes:
        commands: all that were received.
        aborted: whether the client has given the connection up.
    """

    def __init__(self, answer: Answer = _silent) -> None:
        super().__init__()
        self.commands: list[list[bytes]] = []
        self.aborted = False
        self._answer = answer
        self._protocol: Any = asyncio.Protocol()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_UNFINISHED)

    @property
    def writer(self) -> asyncio.StreamWriter:
        """What the client is given."""
        return _Writer(self, self._protocol, None, self._loop)

    def say(self, data: bytes) -> None:
        """The client receives something."""
        self._protocol.data_received(data)

    def cut(self) -> None:
        """The connection breaks."""
        self._closing = True
        self._protocol.connection_lost(ConnectionResetError("reset"))

    # --- asyncio.Transport -------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The client's end."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The client's end."""
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """Whether the connection has ended."""
        return self._closing

    def write(self, data: Any) -> None:
        """The client sends something."""
        self._reader.feed(data)
        while (words := self._reader.gets()) is not _UNFINISHED:
            self.commands.append(words)
            reply = self._answer(words)
            if reply is not None:
                self._loop.call_soon(self.say, reply)

    def close(self) -> None:
        """The client closes the connection."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """The client gives the connection up."""
        self.aborted = True
        self.close()


class _Writer(asyncio.StreamWriter):
    def __del__(self) -> None:
        """It closes nothing when it is collected."""


class Peers:
    """Opens connections to peers, as `Dialer` does.

    Args:
        answer: replies to the commands of a server; None is the only one.

    Attributes:
        opened: all connections, with their servers.
        failure: why no connection can be opened now, if so.
        hanging: whether opening a connection takes for ever now.
    """

    def __init__(self, answer: Callable[[Node | None, list[bytes]], bytes | None]) -> None:
        self.opened: list[tuple[Node | None, Peer]] = []
        self.failure: Exception | None = None
        self.hanging = False
        self._answer = answer

    async def dial(self, node: Node | None = None) -> asyncio.StreamWriter:
        """See `Dialer.dial`."""
        await asyncio.sleep(0.01)
        if self.hanging:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        peer = Peer(lambda words: self._answer(node, words))
        self.opened.append((node, peer))
        return peer.writer

    async def close(self) -> None:
        """See `Dialer.close`."""


def ok(words: list[bytes]) -> bytes:
    """Replies OK to whatever it is."""
    return b"+OK\r\n"


def bulk(word: bytes) -> bytes:
    """A text as the protocol has it."""
    return b"$%d\r\n%b\r\n" % (len(word), word)


def array(*words: bytes) -> bytes:
    """Texts as the protocol has them."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))
