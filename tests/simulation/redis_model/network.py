"""The way from simulated processes to the model of Redis, with all faults on it.

Theory of operation
===================
1. A process has one connection for its calls and one for each subscriber, as with the product's
   `Database`. On a connection nothing overtakes: calls run in the order in which they were sent,
   replies and messages come in the order of their steps.
2. What the server does runs in the network's context, what a process receives in the context of
   the process: a process that is frozen or dead receives nothing.
3. A connection that breaks is gone for the server at once. The process notices later, after the
   replies that were under way. What it sends until then is lost.
4. A process may close a connection, or be killed. Calls that have arrived run all the same. A
   call that is still under way may be lost; then all calls behind it are lost, too.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from durable_llm_streams.stores.redis.client.errors import RedisConnectionError

from .keyspace import State
from .server import ModelRedis


class Fault(NamedTuple):
    """What happens to a call.

    Attributes:
        kind: `lose-request`: the connection breaks when the call should arrive, and it is not run.
            `lose-reply`: it is run; the connection breaks when the reply should come. `stall`: it
            arrives in time, so nothing can stop it, but it is run later.
        seconds: for `stall`, how much later.
    """

    kind: Literal["lose-request", "lose-reply", "stall"]
    seconds: float = 0.0


def _no_time() -> float:
    return 0.0


def _no_fault(process: str, name: str) -> Fault | None:
    return None


def _no_cut(process: str) -> float | None:
    return None


def _arrives(process: str) -> bool:
    return True


class ModelNetwork:
    """Connects processes with one server.

    Args:
        server: the server.
        latency: the seconds that something is under way now, in either direction.
        fault: what happens to a call: given the process's name and that of the script or command.
        cut_subscriber: whether a subscriber's connection breaks at a message to this process, at a
            change of its channels, or while it is opened: the seconds until the process notices.
            None is no.
        arrives: whether a call of this process still arrives that was under way when the process
            gave up its connection, or was killed.

    Attributes:
        server, latency, fault, cut_subscriber, arrives: as given.
        down: whether the server is away.
        connections: those that are open in a process, the oldest first.
        context: in which the server's side runs.
    """

    def __init__(
        self,
        server: ModelRedis,
        *,
        latency: Callable[[], float] = _no_time,
        fault: Callable[[str, str], Fault | None] = _no_fault,
        cut_subscriber: Callable[[str], float | None] = _no_cut,
        arrives: Callable[[str], bool] = _arrives,
    ) -> None:
        self.server = server
        self.latency = latency
        self.fault = fault
        self.cut_subscriber = cut_subscriber
        self.arrives = arrives
        self.down = False
        self.connections: dict[Connection, None] = {}
        self.context = contextvars.copy_context()

    async def dial(self, *, refused: bool = False) -> None:
        """Raise RedisConnectionError, after a while, when no connection can be opened."""
        if self.down or refused:
            await asyncio.sleep(self.latency())
            raise RedisConnectionError("Error connecting to the model: connection refused.")

    def cut(
        self, process: str | None = None, *, use: str | None = None, silence: float = 0.0
    ) -> None:
        """Break connections now.

        Args:
            process: whose; None is everyone's.
            use: `calls` or `messages`; None is both.
            silence: the seconds until the process notices.
        """
        for each in self._of(process):
            if use in (None, each.use):
                each.cut(silence)

    def kill(self, process: str) -> None:
        """A process was killed: its connections end, and it receives nothing more."""
        for each in self._of(process):
            each.leave(None)

    def stop(self) -> None:
        """The server goes away: all connections break, and no new one can be opened."""
        self.down = True
        self.cut()

    def start(self, state: State | None = None) -> None:
        """The server is back, with the data that it had, or with those of an earlier moment."""
        if state is not None:
            self.server.restore(state)
        self.down = False

    def restart(self, state: State | None = None) -> None:
        self.stop()
        self.start(state)

    def _of(self, process: str | None) -> list[Connection]:
        return [each for each in self.connections if process in (None, each.process)]


class Lane:
    """One direction of a connection: what is sent first arrives first."""

    def __init__(self, context: contextvars.Context) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._last = 0.0

    def send(self, seconds: float, arrived: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call something after so many seconds, and after everything that was sent before."""
        self._last = max(self._loop.time() + seconds, math.nextafter(self._last, math.inf))
        return self._loop.call_at(self._last, arrived, *args, context=self._context)


class Connection(ABC):
    """One connection of a process.

    Attributes:
        use: `calls` or `messages`.
        broken: the server's side is gone.
        closed: the process's side is gone: the process has noticed, or has closed it.
    """

    use: str

    def __init__(self, network: ModelNetwork, process: str) -> None:
        self.network = network
        self.process = process
        self.broken = False
        self.closed = False
        self.loop = asyncio.get_running_loop()
        self.to_server = Lane(network.context)
        self.to_process = Lane(contextvars.copy_context())
        network.connections[self] = None

    @abstractmethod
    def server_lost(self) -> None:
        """The server's side is gone."""

    @abstractmethod
    def process_lost(self, error: Exception) -> None:
        """The process's side is gone, and the process shall notice."""

    def cut(self, silence: float = 0.0) -> None:
        """It breaks now. The process notices after so many seconds of silence."""
        if not self.broken:
            self.broken = True
            self.server_lost()
            error = RedisConnectionError("The connection was cut.")
            self.to_process.send(silence + self.network.latency(), self.leave, error)

    def leave(self, error: Exception | None) -> None:
        """The process's side ends. Without an error, the process does not notice."""
        if not self.closed:
            self.closed = True
            self.network.connections.pop(self)
            if not self.broken:
                self.server_lost()
            if error is not None:
                self.process_lost(error)
