"""The sockets that a server listens on, and the address for people to open."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Final

from durable_llm_streams.errors import InvalidSetting

_LOOPBACK: Final = ("127.0.0.1", "::1")
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not used
#: Errors of a machine without this address, or without addresses of this kind.
_MISSING: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind what `DLS_HOST` and `DLS_PORT` name; `localhost` is both loopback addresses.

    Args:
        host: a name or an address; an IPv6 address may be in brackets.
        port: the port; 0 chooses a free one.

    Raises:
        InvalidSetting: binding failed; the sentence says what to change.
    """
    host = host.strip().removeprefix("[").removesuffix("]")
    hosts = _LOOPBACK if host.lower().rstrip(".") == "localhost" else (host,)
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for each in hosts:
            try:
                listener = _bind(each, port)
            except OSError as error:
                if len(hosts) == 1 or error.errno not in _MISSING:
                    raise
                missing = error
                continue
            bound.append(listener)
            port = listener.getsockname()[1]
        if missing is not None and not bound:
            raise missing
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        for listener in bound:
            listener.close()
        reason = getattr(error, "strerror", None) or "not an address"
        raise InvalidSetting(
            f"Cannot listen on {host}, port {port} ({reason}). "
            "Set DLS_PORT or DLS_HOST to another one, or end the program that uses it."
        ) from error
    return bound


def _bind(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, where = found[0]
    # asyncio sets TCP_NODELAY only if the protocol is given; without it tokens are delayed.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` is every address, also if the system's default is IPv6 only.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listener.bind(where)
    except BaseException:
        listener.close()
        raise
    return listener


def url_of(listeners: Sequence[socket.socket], base_path: str = "") -> str:
    """The server's address, as a browser on this machine opens it.

    Args:
        listeners: what `listen` has bound.
        base_path: the path below which the application is served, or "".
    """
    host, port = listeners[0].getsockname()[:2]
    everywhere = host in _EVERYWHERE
    if everywhere:
        host = _LOOPBACK[0]
    # A browser cannot use a zone, as in fe80::1%eth0.
    shown = f"[{host.partition('%')[0]}]" if ":" in host else host
    ending = " (and every other address of this machine)" if everywhere else ""
    path = f"{base_path}/" if base_path else ""
    return f"http://{shown}:{port}{path}{ending}"
