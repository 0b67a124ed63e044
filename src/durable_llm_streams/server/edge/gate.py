"""What the connections of one server have in common: their number, their bytes, their times.

Theory of operation
===================
1. A connection that must do something in time (send its request, read its response) is watched.
   One check a second compares the times of those. So a request that arrives at once costs no
   timer, and an idle stream costs nothing.
2. Where a sum is exceeded, the slowest connection is closed, not the newest: clients that do not
   read, or do not send, cannot keep out those that do.
3. `connections` is below the limit of file descriptors. So the system always accepts, and a client
   that is one too many gets a response.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Container
from typing import Final, Protocol

from .addresses import counted_as
from .limits import EdgeLimits
from .refusals import BODIES, FULL, TOO_MANY, Refusal

logger = logging.getLogger(__name__)

_LAST: Final = 8  # descriptors that are left for what is no client's connection
_FULL_SECONDS: Final = 60.0  # between two lines of the log about a full server


class Connection(Protocol):
    """A connection, as the gate sees it.

    Attributes:
        due: when `overdue` is called, in the loop's time; None if never.
        moved_at: when the client last read something, while `unsent` is not 0.
        unsent: bytes of the response that were not sent at the last check.
        body_began: when the body of the request that is being received began.
    """

    due: float | None
    moved_at: float
    unsent: int
    body_began: float

    def overdue(self, now: float) -> None:
        """Do what the passed time demands, and set the next one."""

    def unsent_bytes(self) -> int:
        """Bytes of the response that are not sent."""

    def is_receiving(self) -> bool:
        """Whether a body is being received for a request that is not answered."""

    def holds_body(self) -> bool:
        """Whether the request's body may be in memory."""

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal and close."""

    def cut(self) -> None:
        """Close at once."""

    def patience(self) -> float:
        """Seconds that the client may go without reading."""


class Gate:
    """What the connections of a server have in common.

    Args:
        limits: see `EdgeLimits`.
        exempt: client addresses whose connections are not counted: those of proxies.
    """

    def __init__(self, limits: EdgeLimits | None = None, exempt: Container[str] = ()) -> None:
        self.limits = limits or EdgeLimits()
        self._exempt = exempt
        self._open = 0
        self._by_address: Counter[str] = Counter()
        self._bodies: dict[Connection, int] = {}
        self._held = 0
        self._unread: dict[Connection, int] = {}
        self._unread_bytes = 0
        self._watched: set[Connection] = set()
        self._stalled: set[Connection] = set()
        self._checking: asyncio.TimerHandle | None = None
        self._full_at: float | None = None

    def __len__(self) -> int:
        return self._open

    # --- connections -----------------------------------------------------------------------------

    def enter(self, address: str | None) -> str | None:
        """Count a connection. Returns what it counts for, which `leave` takes."""
        self._open += 1
        if address is None or address in self._exempt:
            return None
        counted = counted_as(address)
        if counted is not None:
            self._by_address[counted] += 1
        return counted

    def refusal(self, counted: str | None, descriptor: int) -> Refusal | None:
        """Why a connection that has just entered must leave; None if it may stay.

        Args:
            counted: what `enter` has returned.
            descriptor: the number of its descriptor. Systems give out the lowest free one, so it
                shows how many are in use (POSIX, section 2.14 of the general information).
        """
        limits = self.limits
        if limits.connections is not None and self._open > limits.connections:
            self._log_full()
            return FULL
        if limits.descriptors is not None and descriptor >= limits.descriptors - _LAST:
            self._log_full()
            return FULL
        if counted is not None:
            here = self._by_address[counted]
            if here > self.limits.connections_per_address:
                logger.warning(
                    "A client address has more than %d connections: %s. "
                    "DLS_CONNECTIONS_PER_ADDRESS is the limit.",
                    self.limits.connections_per_address,
                    counted,
                )
                return TOO_MANY
        return None

    def leave(self, connection: Connection, counted: str | None) -> None:
        """Forget a connection that is lost."""
        self._open -= 1
        if counted is not None:
            self._by_address[counted] -= 1
            if not self._by_address[counted]:
                del self._by_address[counted]
        self.release(connection)
        self.read(connection)
        self._stalled.discard(connection)
        self._watched.discard(connection)

    def _log_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._full_at is None or now - self._full_at >= _FULL_SECONDS:
            self._full_at = now
            logger.error(
                "%d connections are open, and there is no room for more: others get 503. Allow the "
                "process more open files (ulimit -n, LimitNOFILE), or start more servers.",
                self._open,
            )

    # --- bodies of requests ----------------------------------------------------------------------

    def hold(self, connection: Connection, size: int) -> None:
        """Count a piece of a body that is in memory until its request is answered."""
        self._bodies[connection] = self._bodies.get(connection, 0) + size
        self._held += size
        if self._held > self.limits.held_bytes:
            self._shed_bodies()

    def release(self, connection: Connection) -> None:
        """Forget a connection's bodies."""
        self._held -= self._bodies.pop(connection, 0)

    def _shed_bodies(self) -> None:
        for each in [one for one in self._bodies if not one.holds_body()]:
            self.release(each)
        for each in sorted(self._bodies, key=lambda one: one.body_began):
            if self._held <= self.limits.held_bytes:
                break
            if each.is_receiving():
                self.release(each)
                each.refuse(BODIES)

    # --- responses -------------------------------------------------------------------------------

    def unread(self, connection: Connection, size: int) -> None:
        """Count a response that is complete and that the client has not read.

        Args:
            connection: where it is.
            size: bytes of memory.
        """
        self.stall(connection)
        self.read(connection)
        self._unread[connection] = size
        self._unread_bytes += size
        if self._unread_bytes > self.limits.unread_bytes:
            self._shed_responses()

    def read(self, connection: Connection) -> None:
        """Forget a response that the client has read."""
        self._unread_bytes -= self._unread.pop(connection, 0)

    def _shed_responses(self) -> None:
        now = asyncio.get_running_loop().time()
        for each in list(self._unread):
            _look(each, now)
        slowest = sorted(self._unread, key=lambda one: (one.moved_at, -one.unsent))
        for each in slowest:
            if self._unread_bytes <= self.limits.unread_bytes:
                break
            self.read(each)
            each.cut()

    # --- times -----------------------------------------------------------------------------------

    def watch(self, connection: Connection) -> None:
        """Call `overdue` when `due` has passed."""
        self._watched.add(connection)
        self._check_soon()

    def unwatch(self, connection: Connection) -> None:
        """Undo `watch`."""
        self._watched.discard(connection)

    def stall(self, connection: Connection) -> None:
        """Watch a client that does not read what is sent to it."""
        connection.unsent = connection.unsent_bytes()
        connection.moved_at = asyncio.get_running_loop().time()
        self._stalled.add(connection)
        self._check_soon()

    def flow(self, connection: Connection) -> None:
        """Forget a client that has read on."""
        self._stalled.discard(connection)
        self.read(connection)

    def _check_soon(self) -> None:
        if self._checking is None:
            loop = asyncio.get_running_loop()
            self._checking = loop.call_later(self.limits.check_seconds, self._check)

    def _check(self) -> None:
        self._checking = None
        now = asyncio.get_running_loop().time()
        for each in [one for one in self._watched if one.due is not None and one.due <= now]:
            each.overdue(now)
        for each in list(self._stalled):
            _look(each, now)
            if not each.unsent:
                self.flow(each)
            elif now - each.moved_at >= each.patience():
                self._stalled.discard(each)
                self.read(each)
                each.cut()
        if self._watched or self._stalled:
            self._check_soon()


def _look(connection: Connection, now: float) -> None:
    """See whether a client has read something."""
    unsent = connection.unsent_bytes()
    if unsent < connection.unsent:
        connection.moved_at = now
    connection.unsent = unsent
