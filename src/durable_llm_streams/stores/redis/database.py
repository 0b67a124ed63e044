"""The connections to a Redis, in whatever mode it runs.

Theory of operation
===================
1. Calls to a server share one link (see `link`); it is opened by the first call and opened again by
   the next call after it was lost.
2. Every script may be repeated. A call whose link was cut is repeated once, at once, on a new link:
   an idle connection that a firewall has dropped costs nobody an error. Further patience is the
   callers' business.
3. A call ends by its deadline, `timeout` seconds after its begin, whatever happens meanwhile.
4. What may pass becomes `StoreUnavailable`, with the reason for the operator. What is a mistake in
   a script stays a `redis.ResponseError`.
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
from .dialing import Dialer, Dials
from .failures import code, unavailable
from .routes import OneServer, Routes
from .script import Script, first_line_refused
from .subscriber import Subscriber
from .wire import Word, pack

__all__ = ["Database", "Script"]

#: What is worth a second try at once: the link was cut, or the server is no master any more.
_REPEATED = {"READONLY", "MASTERDOWN"}


class Database:
    """Connections to a Redis in whatever mode. It connects when it is first used.

    Args:
        address: where it is.
        dialer: opens the connections; without it, the address says how.
    """

    def __init__(self, address: RedisAddress, dialer: Dials | None = None) -> None:
        self.address = address
        self._dialer: Dials = Dialer(address) if dialer is None else dialer
        self._routes: Routes = (
            Cluster(self._dialer, address) if address.mode == "cluster" else OneServer(self._dialer)
        )
        self._plain_scripts = False

    async def call(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Word]) -> Any:
        """Run a script. It must bear repetition.

        Args:
            script: what to run.
            keys: its KEYS; all in the hash slot of the first.
            args: its ARGV.

        Returns:
            The reply: bytes, int, None, or a list of them.

        Raises:
            StoreUnavailable: Redis cannot do it now; whether it did is unknown.
            redis.ResponseError: a mistake in the script.
        """
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
        """Run one command that bears repetition. Errors are the server's and redis-py's own.

        Args:
            args: the command's words.
            node: a server of a Cluster; without it, any.

        Raises:
            redis.RedisError: it could not be sent, was not answered, or was refused.
        """
        packed = pack(*args)
        if node is not None:
            assert isinstance(self._routes, Cluster)
            return await self._routes.ask_node(node, packed, self._deadline())
        return await self._ask(None, packed, self._deadline())

    async def masters(self) -> list[Node | None]:
        """The servers that hold keys, for `command`; `[None]` where there is only one.

        Raises:
            redis.RedisError: the Cluster's servers could not be asked.
        """
        if isinstance(self._routes, Cluster):
            return list(await self._routes.masters(self._deadline()))
        return [None]

    async def subscriber(self) -> Subscriber:
        """A new connection of its own for messages. It is the caller's to close.

        Raises:
            StoreUnavailable: Redis cannot be reached now.
        """
        try:
            async with asyncio.timeout(self.address.timeout):
                node = await self._routes.any_node()
                writer = await self._dialer.dial(node)
        except (RedisError, OSError) as error:
            raise unavailable(error) or error from error
        return Subscriber(writer, patience=self.address.timeout)

    async def close(self) -> None:
        """Close all connections but the subscribers'."""
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
