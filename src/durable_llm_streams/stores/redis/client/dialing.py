"""Opening connections: TCP, TLS and sockets, signing in, and asking sentinels for the master.

redis-py does all this; `link` and `subscriber` take over the open connection.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    RedisSSLContext,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from .address import Node, RedisAddress
from .failures import causes

#: A sentinel that does not answer must leave time for the next one.
_SENTINEL_SECONDS = 1.0


class Dialer:
    """Opens connections to the servers that an address names."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._common: dict[str, Any] = {
            "protocol": 2,
            "driver_info": None,  # a name for CLIENT LIST needs a permission more
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": address.timeout,
            "socket_connect_timeout": address.timeout,
        }
        self._tls: dict[str, Any] = {}
        if address.tls:
            self._tls = {
                "ssl_ca_certs": address.ca,
                "ssl_certfile": address.cert,
                "ssl_keyfile": address.key or address.cert,
                "ssl_cert_reqs": "required" if address.verify == "full" else "none",
            }
        self._trust: RedisSSLContext | None = None
        self._sentinel: Sentinel | None = None

    async def dial(self, node: Node | None = None) -> asyncio.StreamWriter:
        """Open a connection and sign in. The caller owns it; redis-py does not keep it.

        Args:
            node: a server of a Cluster. Without it: the one server that there is.

        Raises:
            redis.RedisError: it could not be opened, the server refused the sign-in, or it is a
                replica, whose data are not the latest.
        """
        cancelled = _Cancelled()
        try:
            connection = self._connection(node or await self._place())
            await connection.connect()
            if self._address.mode != "cluster":
                await _refuse_replica(connection)
            if cancelled.meanwhile:
                await connection.disconnect(nowait=True)
                raise asyncio.CancelledError
        except RedisError as error:
            if any(
                isinstance(cause, ssl.SSLError | ConnectionResetError) for cause in causes(error)
            ):
                self._trust = None  # the files may have changed
            raise
        except RuntimeError as error:  # uvloop's, for a transport that is closed already
            raise RedisConnectionError(f"The connection was cut at once ({error}).") from error
        # From here on nothing waits, so no byte can come in between.
        reader, writer = connection._reader, connection._writer
        connection._reader = connection._writer = None
        assert reader is not None
        assert writer is not None
        unasked = bytes(reader._buffer)  # type: ignore[attr-defined]
        if unasked or reader.at_eof():
            writer.transport.abort()
            if unasked.startswith(b"-"):  # the server is full, or protects itself
                raise ResponseError(unasked[1:].decode(errors="replace").strip())
            raise RedisConnectionError("The server closed the connection at once.")
        return writer

    async def close(self) -> None:
        """Close the connections to the sentinels; the opened connections stay."""
        if self._sentinel is not None:
            await self._sentinel.aclose()
            self._sentinel = None

    async def services(self) -> list[set[str] | RedisError]:
        """What each sentinel answers when it is asked which services it knows."""
        answers: list[set[str] | RedisError] = []
        for sentinel in self._sentinels().sentinels:
            try:
                answers.append({str(name) for name in await sentinel.sentinel_masters()})
            except RedisError as error:
                answers.append(error)
        return answers

    async def _place(self) -> Node | None:
        """Where the one server is now; None is its socket."""
        if self._address.mode == "unix":
            return None
        if self._address.mode == "single":
            return self._address.nodes[0]
        host, port = await self._sentinels().discover_master(self._address.service)
        return Node(host, port)

    def _sentinels(self) -> Sentinel:
        if self._sentinel is None:
            self._sentinel = Sentinel(self._address.nodes, sentinel_kwargs=self._for_sentinels())
        return self._sentinel

    def _connection(self, node: Node | None) -> AbstractConnection:
        address = self._address
        options = self._common | {
            "db": address.db,
            "username": address.user,
            "password": address.password,
        }
        if node is None:
            return UnixDomainSocketConnection(path=address.path, **options)
        if not address.tls:
            return Connection(host=node.host, port=node.port, **options)
        connection = SSLConnection(host=node.host, port=node.port, **options, **self._tls)
        if self._trust is None:
            self._trust = connection.ssl_context
        # Reading all the authorities' certificates anew would stop the event loop for 20 ms.
        connection.ssl_context = self._trust
        return connection

    def _for_sentinels(self) -> dict[str, Any]:
        seconds = min(_SENTINEL_SECONDS, self._address.timeout / 2)
        return (
            self._common
            | self._tls
            | {
                "ssl": self._address.tls,
                "username": self._address.sentinel_user,
                "password": self._address.sentinel_password,
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
            }
        )


class _Cancelled:
    """Whether the running task is cancelled from now on.

    redis-py waits with `asyncio.wait_for`, which before Python 3.12 may lose a cancellation that
    comes in the same turn as what it waits for.
    """

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task is not None else 0

    @property
    def meanwhile(self) -> bool:
        return self._task is not None and self._task.cancelling() > self._before


async def _refuse_replica(connection: AbstractConnection) -> None:
    await connection.send_command("ROLE")
    try:
        role = await connection.read_response()
    except ResponseError:
        return  # ROLE is not allowed; a replica will refuse to write
    if role[0] == b"slave":
        await connection.disconnect(nowait=True)
        raise ReadOnlyError("The server is a replica.", status_code="READONLY")
