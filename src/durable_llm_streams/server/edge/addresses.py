"""Whose connection it is: the client's address, or its network."""

from __future__ import annotations

import ipaddress
from collections.abc import Container
from typing import Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_NETWORK_BITS: Final = 64  # what a provider gives to one IPv6 customer at least (RFC 6177)


def exempt(trusted: str) -> Container[str]:
    """The addresses whose connections are not counted, as in `FORWARDED_ALLOW_IPS`.

    A proxy's connections are those of all its clients.
    """
    middleware: Any = ProxyHeadersMiddleware(_nothing, trusted)  # reads the same variable
    found: Container[str] = middleware.trusted_hosts
    return found


async def _nothing(*_: Any) -> None:
    """An application that is never called."""


def counted_as(address: str) -> str | None:
    """What the connections of an address count for: itself, or its IPv6 network of 64 bits.

    Returns:
        None for loopback and for what is not an IP address: it is not counted.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
