"""The connection to one server: opened when it is needed, and again when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from typing_extensions import override

from .address import Node
from .connection import Connection
from .errors import RedisConnectionError, RedisTimeoutError, ResponseError
from .failures import retrieved

#: Replies of a server that is not, or not yet, the one to ask: the next connection may reach
#: another one.
_ELSEWHERE = {"READONLY", "MASTERDOWN", "NOREPLICAS", "LOADING", "NOAUTH"}


class Topology(Protocol):
    """The servers of an address."""

    async def ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        """Send a command to the server that holds a key and wait for the reply.

        Args:
            key: None goes to any server.
            packed: the command, see `pack`.
            deadline: in the loop's time.

        Raises:
            RedisError: it could not be sent, was not answered, or was refused.
        """
        ...

    async def any_node(self) -> Node | None:
        """A server that all messages reach; None is the only one."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Server(Topology):
    """One server, which may be the master that Sentinels name.

    Args:
        dial: opens a connection.
    """

    def __init__(self, dial: Callable[[], Awaitable[Connection]]) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._closed = False

    @override
    async def ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        connection = self._connection
        if connection is None or connection.lost:
            connection = await self.opened(deadline)
        try:
            return await connection.ask(packed, deadline)
        except ResponseError as error:
            if error.code in _ELSEWHERE and self._connection is connection:
                self._connection = None
                connection.abort(RedisConnectionError("The connection was closed here."))
            raise

    async def opened(self, deadline: float) -> Connection:
        """The open connection. Callers that come while it is being opened share the one attempt.

        Raises:
            RedisError: it could not be opened, or not by the deadline.
        """
        if self._closed:
            raise RedisConnectionError("The connection was closed here.")
        if self._connection is not None and not self._connection.lost:
            return self._connection
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(retrieved)
        opening = self._opening
        await asyncio.wait([opening], timeout=deadline - asyncio.get_running_loop().time())
        if not opening.done():
            raise RedisTimeoutError("The server could not be reached in time.")
        if opening.cancelled():  # by `close`; a caller must not take this for its own cancellation
            raise RedisConnectionError("The connection was closed here.")
        return opening.result()

    @override
    async def any_node(self) -> Node | None:
        return None

    async def close(self) -> None:
        """Close the connection for good."""
        self._closed = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _open(self) -> Connection:
        self._connection = await self._dial()
        return self._connection
