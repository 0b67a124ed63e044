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
    """What the connections of an address count for, see `network_of`.

    Returns:
        None for loopback and for what is not an IP address: it is not counted.
    """
    found = _parsed(address)
    return None if found is None or found.is_loopback else network_of(address)


def network_of(address: str) -> str:
    """What counts as one address: itself, or its IPv6 network of 64 bits.

    Args:
        address: an IP address; other text is returned as it is.
    """
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
    return address if found is None else str(found)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; an IPv4 address that is written as IPv6 is IPv4."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
