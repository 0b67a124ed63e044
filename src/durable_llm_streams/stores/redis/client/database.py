"""Connections to Redis, in whatever mode it runs.

Theory of operation
===================
1. Calls to a server share one link (see `link`). The first call opens it, and the first call after
   it was lost opens it again.
2. Every script may run twice. A call whose link was cut is repeated once, at once, on a new link:
   an idle connection that a firewall has dropped causes no error. Further retries are the callers'.
3. A call ends by its deadline, `timeout` seconds after it began, whatever happens meanwhile.
4. A temporary failure becomes `StoreUnavailable`, with the reason for the operator. An error in a
   script stays a `redis.ResponseError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from .address import Node, RedisAddress
from .cluster import Cluster
from .dialing import Dialer
from .failures import code, unavailable
from .protocols import Word
from .routes import OneServer, Routes
from .script import Script, first_line_refused
from .subscriber import Subscriber
from .wire import pack

__all__ = ["Database", "Script"]

#: Repeated at once, as if the link had been cut: the server is not the master any more.
_REPEATED = {"READONLY", "MASTERDOWN"}


class Database:
    """Connects when it is first used. Implements `RedisClient`.

    Args:
        address: where Redis is.
    """

    def __init__(self, address: RedisAddress) -> None:
        self.address = address
        self._dialer = Dialer(address)
        self._routes: Routes = (
            Cluster(self._dialer, address) if address.mode == "cluster" else OneServer(self._dialer)
        )
        self._plain_scripts = False

    async def call(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Word]) -> Any:
        """See `RedisClient.call`."""
        if self._plain_scripts and script.plain is not None:
            script = script.plain
        packed = pack("EVALSHA", script.sha, len(keys), *keys, *args)
        deadline = self._deadline()
        try:
            try:
                return await self._ask(keys[0], packed, deadline)
            except ResponseError as error:
                if code(error) != "NOSCRIPT":
                    raise
            return await self._evaluate(script, keys, args, deadline)
        except (RedisError, OSError) as error:
            translated = unavailable(error)
            if translated is None:
                raise
            raise translated from error

    async def command(self, *args: Word, node: Node | None = None) -> Any:
        """See `RedisClient.command`."""
        packed = pack(*args)
        if node is not None:
            assert isinstance(self._routes, Cluster)
            return await self._routes.ask_node(node, packed, self._deadline())
        return await self._ask(None, packed, self._deadline())

    async def masters(self) -> list[Node | None]:
        """See `RedisClient.masters`."""
        if isinstance(self._routes, Cluster):
            return list(await self._routes.masters(self._deadline()))
        return [None]

    async def subscriber(self) -> Subscriber:
        """See `RedisClient.subscriber`."""
        try:
            async with asyncio.timeout(self.address.timeout):
                node = await self._routes.any_node()
                writer = await self._dialer.dial(node)
        except (RedisError, OSError) as error:
            raise unavailable(error) or error from error
        return Subscriber(writer, patience=self.address.timeout)

    async def close(self) -> None:
        """See `RedisClient.close`."""
        await self._routes.close()
        await self._dialer.close()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.address.timeout

    async def _ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        try:
            return await self._routes.ask(key, packed, deadline)
        except (AuthenticationError, MasterNotFoundError):
            raise  # it would be the same again
        except RedisConnectionError:
            pass
        except ResponseError as error:
            if code(error) not in _REPEATED:
                raise
        return await self._routes.ask(key, packed, deadline)

    async def _evaluate(
        self, script: Script, keys: Sequence[str | bytes], args: Sequence[Word], deadline: float
    ) -> Any:
        """Run a script that the server does not know yet; then it knows it."""

        async def evaluate(script: Script) -> Any:
            packed = pack("EVAL", script.text, len(keys), *keys, *args)
            return await self._ask(keys[0], packed, deadline)

        return await either_form(script, evaluate, self._use_plain_scripts)

    def _use_plain_scripts(self) -> None:
        self._plain_scripts = True


async def either_form(
    script: Script, evaluate: Callable[[Script], Awaitable[Any]], plain: Callable[[], None]
) -> Any:
    """Run a script with its first line, and without it where the server does not know that."""
    try:
        return await evaluate(script)
    except ResponseError as error:
        if script.plain is None or not first_line_refused(str(error)):
            raise
        refusal = error
    try:
        reply = await evaluate(script.plain)
    except ResponseError as error:
        if first_line_refused(str(error)):
            raise refusal from None  # it is not the first line
        plain()
        raise
    plain()
    return reply
