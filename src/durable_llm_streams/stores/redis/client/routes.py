"""Which server a call goes to, and the link to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .address import Node
from .dialing import Dialer
from .failures import code, retrieved
from .link import Link

#: Answers of a server that is not, or not yet, the one to ask: the next link may find another one.
_ELSEWHERE = {"READONLY", "MASTERDOWN", "NOREPLICAS", "LOADING", "NOAUTH"}


class Routes(Protocol):
    """The way to the servers of one address."""

    async def ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        """Send a command to the server that holds a key and wait for the reply.

        Args:
            key: None goes to any server.
            packed: the command as the protocol has it.
            deadline: in the loop's time.

        Raises:
            redis.RedisError: it could not be sent, was not answered, or was refused.
        """
        ...

    async def any_node(self) -> Node | None:
        """A server that all messages reach; None is the only one."""
        ...

    async def close(self) -> None:
        """Close all links."""
        ...


class Line:
    """The link to one server: opened when it is needed, and again when it was lost.

    Args:
        dial: opens a connection.
    """

    def __init__(self, dial: Callable[[], Awaitable[asyncio.StreamWriter]]) -> None:
        self._dial = dial
        self._link: Link | None = None
        self._opening: asyncio.Task[Link] | None = None
        self._closed = False

    async def ask(self, packed: bytes, deadline: float) -> Any:
        """As `Link.ask`.

        Raises:
            redis.RedisError: as there, or the link could not be opened.
        """
        link = self._link
        if link is None or link.lost:
            link = await self.opened(deadline)
        try:
            return await link.ask(packed, deadline)
        except ResponseError as error:
            if code(error) in _ELSEWHERE and self._link is link:
                self._link = None
                await link.close()
            raise

    async def opened(self, deadline: float) -> Link:
        """The open link. Callers that come while it is being opened share the one attempt.

        Raises:
            redis.RedisError: it could not be opened, or not by the deadline.
        """
        if self._closed:
            raise RedisConnectionError("The connection was closed here.")
        if self._link is not None and not self._link.lost:
            return self._link
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

    async def close(self) -> None:
        """Close the link for good."""
        self._closed = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._link is not None:
            link, self._link = self._link, None
            await link.close()

    async def _open(self) -> Link:
        self._link = Link(await self._dial())
        return self._link


class OneServer:
    """Every key is on the one server; sentinels may say where that is. Implements `Routes`."""

    def __init__(self, dialer: Dialer) -> None:
        self._line = Line(dialer.dial)

    async def ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        """See `Routes.ask`."""
        return await self._line.ask(packed, deadline)

    async def any_node(self) -> Node | None:
        """See `Routes.any_node`."""
        return None

    async def close(self) -> None:
        """See `Routes.close`."""
        await self._line.close()
