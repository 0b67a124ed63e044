"""Opening connections: TCP, TLS and sockets, signing in, asking Sentinels for the master."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from .address import Node, RedisAddress
from .connection import Connection, pack, pairs
from .errors import (
    MasterNotFound,
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
    ResponseError,
)
from .failures import causes

T = TypeVar("T")

#: A Sentinel that does not answer must leave time for the next one.
_SENTINEL_SECONDS = 1.0

_ROLE = ("ROLE",)


class Dialer:
    """Opens connections to the servers that an address names."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._tls: ssl.SSLContext | None = None
        self._sentinels = list(address.nodes)

    async def dial(self, node: Node | None = None) -> Connection:
        """Open a connection and sign in.

        Args:
            node: a server of a Cluster. Without it: the one server that there is.

        Raises:
            RedisError: it could not be opened, or not in time; the server refused the sign-in, or
                it is a replica, whose data are not the latest.
        """
        address = self._address
        words = _sign_in(address.user, address.password)
        if address.db:
            words.append(("SELECT", address.db))
        if address.mode != "cluster":
            words.append(_ROLE)

        async def opened() -> Connection:
            connection = await self._open(node or await self._place())
            replies = await self._ask_all(connection, words)
            if address.mode != "cluster" and (wrong := _not_a_master(replies.pop())) is not None:
                connection.abort(wrong)
                raise wrong
            return connection

        return await _in_time(opened, address.timeout)

    async def services(self) -> list[set[str] | RedisError]:
        """The services that each Sentinel knows, or why it does not say."""
        answers: list[set[str] | RedisError] = []
        for node in self._sentinels:
            try:
                reply = await self._ask_sentinel(node, "MASTERS")
            except RedisError as error:
                answers.append(error)
            else:
                answers.append({_fields(master)["name"] for master in reply})
        return answers

    async def _place(self) -> Node | None:
        """Where the one server is now; None is its socket."""
        if self._address.mode == "unix":
            return None
        if self._address.mode == "single":
            return self._address.nodes[0]
        return await self._master()

    async def _master(self) -> Node:
        """The master, from the first Sentinel that knows it; that one is asked first next time."""
        failures = []
        for node in list(self._sentinels):
            try:
                command = ("GET-MASTER-ADDR-BY-NAME", self._address.service)
                reply = await self._ask_sentinel(node, *command)
            except RedisError as error:
                failures.append(f"{node}: {error}")
                continue
            if reply is not None:
                self._sentinels.remove(node)
                self._sentinels.insert(0, node)
                return Node(reply[0].decode(), int(reply[1]))
            failures.append(f"{node} does not know it")
        raise MasterNotFound(
            f"No Sentinel names a master of {self._address.service} ({'; '.join(failures)})"
        )

    async def _ask_sentinel(self, node: Node, *words: str) -> Any:
        seconds = min(_SENTINEL_SECONDS, self._address.timeout / 2)
        user, password = self._address.sentinel_user, self._address.sentinel_password
        commands = [*_sign_in(user, password), ("SENTINEL", *words)]

        async def asked() -> Any:
            connection = await self._open(node)
            replies = await self._ask_all(connection, commands)
            connection.abort(RedisConnectionError("The connection was closed here."))
            return replies[-1]

        return await _in_time(asked, seconds)

    async def _ask_all(self, connection: Connection, commands: list[tuple[Any, ...]]) -> list[Any]:
        """The replies to commands that are sent at once; that to ROLE may be an error.

        Raises:
            RedisError: another one is an error, or the connection was cut. It is closed then.
        """
        deadline = asyncio.get_running_loop().time() + self._address.timeout
        try:
            waiting = [connection.send(pack(*words), deadline) for words in commands]
            replies: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
            _raise_first(commands, replies)
        except BaseException as error:
            connection.abort(RedisConnectionError("The connection was closed here."))
            self._look_at_certificates(error)
            raise
        return replies

    async def _open(self, node: Node | None) -> Connection:
        loop = asyncio.get_running_loop()
        place = self._address.path if node is None else str(node)
        try:
            if node is None:
                _, connection = await loop.create_unix_connection(Connection, self._address.path)
            else:
                _, connection = await loop.create_connection(
                    Connection, node.host, node.port, ssl=self._context()
                )
        # UnicodeError: no host can be named so. RuntimeError: uvloop's, for a transport that is
        # closed already.
        except (OSError, UnicodeError, RuntimeError) as error:
            self._look_at_certificates(error)
            raise RedisConnectionError(f"Error connecting to {place}. {error}") from error
        return connection

    def _look_at_certificates(self, error: BaseException) -> None:
        """Read the certificates anew if they may be why a connection failed.

        With TLS 1.3 a server refuses a client's certificate after the handshake.
        """
        if any(isinstance(cause, ssl.SSLError | ConnectionResetError) for cause in causes(error)):
            self._tls = None

    def _context(self) -> ssl.SSLContext | None:
        """For TLS. Kept: reading the authorities' certificates blocks the event loop for 20 ms."""
        address = self._address
        if not address.tls or self._tls is not None:
            return self._tls
        context = ssl.create_default_context(cafile=address.ca)
        if address.verify == "none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if address.cert is not None:
            context.load_cert_chain(address.cert, address.key)
        self._tls = context
        return context


def _raise_first(commands: list[tuple[Any, ...]], replies: list[Any]) -> None:
    for command, reply in zip(commands, replies, strict=True):
        allowed = command == _ROLE and isinstance(reply, ResponseError)
        if isinstance(reply, Exception) and not allowed:
            raise reply


async def _in_time(step: Callable[[], Awaitable[T]], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await step()
    except TimeoutError as error:
        raise RedisTimeoutError("The server could not be reached in time.") from error


def _sign_in(user: str | None, password: str | None) -> list[tuple[Any, ...]]:
    if not password and not user:
        return []
    return [("AUTH", user, password or "") if user else ("AUTH", password)]


def _not_a_master(role: Any) -> RedisError | None:
    """Why a server's reply to ROLE is not a master's; None where the command is not allowed."""
    if isinstance(role, ResponseError):
        lowered = str(role).lower()
        allowed = role.code not in ("NOPERM", "ERR") or "max number of clients" in lowered
        return role if allowed else None
    return ResponseError("READONLY The server is a replica.") if role[0] == b"slave" else None


def _fields(flat: list[bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in pairs(flat)}
