"""The way between simulated processes and the model of Redis."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from durable_llm_streams.stores.redis import scripts
from durable_llm_streams.stores.redis.permissions import PERMISSIONS
from durable_llm_streams.stores.redis.script import Script

from .command import Words
from .connection import Connection
from .faults import Fault, Happens, Use
from .keyspace import State
from .server import ModelRedis

#: How long bytes take: of which process, and whether they are its `request` or the `reply` to it.
Latency = Callable[[str, Literal["request", "reply"]], float]
#: How a reply to a process is cut; the pieces together are the reply.
Pieces = Callable[[str, bytes], Sequence[bytes]]
#: Whether a command of a process arrives that was on its way when the process closed the connection
#: or was killed: given the process's name, and the name of the script or the command.
Arrives = Callable[[str, str], bool]


class ModelNetwork:
    """Connects processes with one server.

    Args:
        server: what is at the other end.
        latency: how long bytes take; without it, no time.
        fault: what happens to commands and new connections; without it, nothing.
        pieces: how replies are cut; without it, not at all.
        arrives: what becomes of commands whose sender is gone; without it, they arrive.

    Attributes:
        server: as given.
        refusing: whether no connection can be opened.
        connections: those that are open on either side, the oldest first.
    """

    def __init__(
        self,
        server: ModelRedis,
        *,
        latency: Latency | None = None,
        fault: Happens | None = None,
        pieces: Pieces | None = None,
        arrives: Arrives | None = None,
    ) -> None:
        self.server = server
        self.refusing = False
        self.connections: dict[Connection, None] = {}
        self._latency = latency
        self._fault = fault
        self._pieces = pieces
        self._arrives = arrives
        self._context = contextvars.copy_context()
        self._sent: Counter[str] = Counter()

    async def dial(self, process: str) -> asyncio.StreamWriter:
        """Open a connection, as `Dialer.dial` does.

        Args:
            process: whose it is.

        Raises:
            redis.RedisError: it could not be opened, or the server is a replica.
        """
        fault = self._decided(process, "dial", "DIAL")
        seconds = self.seconds(process, "request") + self.seconds(process, "reply")
        await asyncio.sleep(seconds + (0.0 if fault is None else fault.seconds))
        if self.refusing or (fault is not None and fault.kind not in ("delay", "stall")):
            refusal = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            raise RedisConnectionError(f"Error connecting to the model. {refusal}.") from refusal
        if self.server.replica:
            raise ReadOnlyError("The server is a replica.", status_code="READONLY")
        connection = Connection(self, process, self._context)
        self.connections[connection] = None
        return _Writer(connection, connection.get_protocol(), None, asyncio.get_running_loop())

    # --- what may happen ---------------------------------------------------------------------

    def cut(self, process: str | None = None) -> None:
        """Connections break, of one process or of all; the processes hear of it in time."""
        for connection in self._of(process):
            connection.cut()

    def kill(self, process: str) -> None:
        """A process was killed: its connections end, and nothing is told to it."""
        for connection in self._of(process):
            connection.forsake()

    def stop(self) -> None:
        """The server is away: all connections break, and no new one can be opened."""
        self.refusing = True
        self.cut()

    def start(self, state: State | None = None) -> None:
        """The server is back, with the data that it had, or those of an earlier moment."""
        self.server.restore(self.server.snapshot() if state is None else state)
        self.refusing = False

    def restart(self, state: State | None = None) -> None:
        """Stop and start at once."""
        self.stop()
        self.start(state)

    def _of(self, process: str | None) -> list[Connection]:
        return [each for each in self.connections if process in (None, each.process)]

    # --- what connections ask, see `connection.Way` ------------------------------------------

    def seconds(self, process: str, direction: Literal["request", "reply"]) -> float:
        """How long bytes take now."""
        return 0.0 if self._latency is None else self._latency(process, direction)

    def fate(self, process: str, use: Use, words: Words) -> Fault | None:
        """What happens to a command."""
        return None if self._fault is None else self._decided(process, use, name_of(words))

    def pieces(self, process: str, data: bytes) -> Sequence[bytes]:
        """How a reply is cut."""
        return (data,) if self._pieces is None else self._pieces(process, data)

    def arrives(self, process: str, words: Words) -> bool:
        """Whether a command arrives whose sender is gone."""
        return self._arrives is None or self._arrives(process, name_of(words))

    def over(self, connection: Connection) -> None:
        """A connection has ended on both sides."""
        self.connections.pop(connection, None)

    def _decided(self, process: str, use: Use, name: str) -> Fault | None:
        if self._fault is None:
            return None
        self._sent[process] += 1
        return self._fault(process, use, name, self._sent[process])


class _Writer(asyncio.StreamWriter):
    """What redis-py hands over. It closes nothing when it is collected: that would be chance."""

    def __del__(self) -> None:
        """Nothing."""


def _names() -> dict[bytes, str]:
    known = [each for each in vars(scripts).values() if isinstance(each, Script)]
    every = [form for each in (*known, PERMISSIONS) for form in (each, each.plain) if form]
    return {form.sha.encode(): form.name for form in every}


_NAMES = _names()


def name_of(words: Words) -> str:
    """The name of a command, or of the script that it runs."""
    name = words[0].upper()
    if name in (b"EVALSHA", b"EVAL"):
        sha = words[1]
        if name == b"EVAL":
            sha = hashlib.sha1(sha, usedforsecurity=False).hexdigest().encode()
        return _NAMES.get(sha) or name.decode()
    return name.decode()
