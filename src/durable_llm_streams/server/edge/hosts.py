"""The names by which clients may address the server.

A page whose name resolves to this machine (DNS rebinding) is of the same origin for the browser.
Its requests carry its own name in `Host`, and so are recognised.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

from durable_llm_streams.errors import InvalidSetting

#: Hosts that are always accepted: no other machine can serve a page under them (RFC 6761, 6.3).
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")

_ANY: Final = "*"
_REMEMBERED: Final = 64  # headers, each as long as a request's head at most
_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
#: `Host = uri-host [ ":" port ]` (RFC 9110, section 7.2).
_HOST: Final = re.compile(r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{0,5})?")


class Hosts:
    """A list of accepted hosts.

    Args:
        names: names and addresses without a port; `*.example.org` is any subdomain, `*` anything.

    Raises:
        InvalidSetting: one of them is neither; the sentence names it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        given = [_checked(name) for name in names]
        self._any = _ANY in given
        self._exact = {name for name in given if not name.startswith(_ANY)}
        self._endings = tuple(name[1:] for name in given if name.startswith("*."))
        self._known = functools.lru_cache(_REMEMBERED)(self._accepts)

    def accepts(self, header: str) -> bool:
        """Whether a request with this `Host` is for this server."""
        return self._any or self._known(header)

    def _accepts(self, header: str) -> bool:
        found = _HOST.fullmatch(header.lower())
        if found is None:
            return False
        host = _bare(found["host"])
        return host in self._exact or is_loopback(host) or host.endswith(self._endings)


def accepted_hosts(names: Sequence[str], bound: str) -> Sequence[str]:
    """The names for `Hosts`, from `DLS_HOSTS` and `DLS_HOST`.

    Args:
        names: what `DLS_HOSTS` lists. If it is empty, a server on loopback accepts its own names,
            and any other server accepts all.
        bound: the host that the server listens on.
    """
    return names or ((bound,) if is_loopback(bound) else (_ANY,))


def _bare(host: str) -> str:
    return host.strip().lower().removeprefix("[").removesuffix("]").rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether a name or an address, in brackets or not, is one of this machine alone."""
    name = _bare(host)
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    address = _address(name.partition("%")[0])
    return address is not None and address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _checked(text: str) -> str:
    if text.strip() == _ANY:
        return _ANY
    name = _bare(text)
    if _address(name) is not None or _NAME.fullmatch(name):
        return name
    raise InvalidSetting(
        f"DLS_HOSTS holds {text[:100]!r}. Write a host as browsers show it, such as "
        "`chat.example.org` or `*.example.org`: no scheme, no port, no path. "
        "Separate several by commas."
    )
