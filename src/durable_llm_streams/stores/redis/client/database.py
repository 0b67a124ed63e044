"""Connections to Redis, in whatever mode it runs.

Theory of operation
===================
1. Calls to a server share one connection (see `connection`). The first call opens it, and the first
   call after it was lost opens it again.
2. Every script may run twice. A call whose connection was cut is repeated once, at once, on a new
   one: an idle connection that a firewall has dropped causes no error. Callers do further retries.
3. A call ends by its deadline, `timeout` seconds after it began, whatever happens meanwhile.
4. A temporary failure becomes `StoreUnavailable`, with the reason for the operator. An error in a
   script stays a `ResponseError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from typing_extensions import override

from .address import Node, RedisAddress
from .cluster import Cluster
from .connect import Dialer
from .connection import Word, pack
from .errors import MasterNotFound, RedisConnectionError, RedisError, ResponseError
from .failures import unavailable
from .protocols import RedisClient
from .script import Script, first_line_refused
from .server import Server, Topology
from .subscriber import Subscriber

#: Repeated at once, as if the connection had been cut: the server is no longer the master.
_REPEATED = {"READONLY", "MASTERDOWN"}


class Database(RedisClient):
    """Connects when it is first used.

    Args:
        address: where Redis is.
    """

    def __init__(self, address: RedisAddress) -> None:
        self.address = address
        self._dialer = Dialer(address)
        self._topology: Topology = (
            Cluster(self._dialer, address)
            if address.mode == "cluster"
            else Server(self._dialer.dial)
        )
        self._plain_scripts = False

    @override
    async def call(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Word]) -> Any:
        if self._plain_scripts and script.plain is not None:
            script = script.plain
        packed = pack("EVALSHA", script.sha, len(keys), *keys, *args)
        deadline = self._deadline()
        try:
            try:
                return await self._ask(keys[0], packed, deadline)
            except ResponseError as error:
                if error.code != "NOSCRIPT":
                    raise
            return await self._evaluate(script, keys, args, deadline)
        except (RedisError, OSError) as error:
            translated = unavailable(error)
            if translated is None:
                raise
            raise translated from error

    @override
    async def command(self, *args: Word, node: Node | None = None) -> Any:
        packed = pack(*args)
        if node is not None:
            assert isinstance(self._topology, Cluster)
            return await self._topology.ask_node(node, packed, self._deadline())
        return await self._ask(None, packed, self._deadline())

    @override
    async def masters(self) -> list[Node | None]:
        if isinstance(self._topology, Cluster):
            return list(await self._topology.masters(self._deadline()))
        return [None]

    @override
    async def subscriber(self) -> Subscriber:
        try:
            async with asyncio.timeout(self.address.timeout):
                node = await self._topology.any_node()
                connection = await self._dialer.dial(node)
        except (RedisError, OSError) as error:
            raise unavailable(error) or error from error
        return Subscriber(connection, timeout=self.address.timeout)

    @override
    async def close(self) -> None:
        await self._topology.close()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.address.timeout

    async def _ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        try:
            return await self._topology.ask(key, packed, deadline)
        except MasterNotFound:
            raise  # it would be the same again
        except RedisConnectionError:
            pass
        except ResponseError as error:
            if error.code not in _REPEATED:
                raise
        return await self._topology.ask(key, packed, deadline)

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
