"""The route to a provider, and the handling of a response while its body is read.

1. The proxy is the one of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, also in
   lower case). A provider on this machine is never reached through it: a proxy elsewhere would
   connect to its own machine.
2. The body's reader must be woken when the connection is lost. aiohttp (3.14, its C parser) closes
   the connection after a broken transfer encoding, but leaves the body's reader waiting for ever.
   A proxy that writes its own error into a stream breaks the encoding like this.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import NamedTuple, Self
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.redaction import secrets_of

logger = logging.getLogger(__name__)

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # SSL_CERT_FILE is read by OpenSSL itself


class Route(NamedTuple):
    """The route to an address.

    Attributes:
        proxy: the proxy's address, or None.
        context: the trusted certificates; None for the system's.
    """

    proxy: URL | None = None
    context: ssl.SSLContext | None = None

    @property
    def secrets(self) -> list[str]:
        """What must not be printed of the proxy's address."""
        return secrets_of(str(self.proxy or ""))

    @classmethod
    def to(cls, address: URL, *, proxy: str | None = None, ca_file: str | None = None) -> Self:
        """The route to an address.

        Args:
            address: of the provider.
            proxy: the address of a proxy; None for the environment's, "" for none.
            ca_file: certificates (PEM) that are trusted in addition to the system's.

        Raises:
            InvalidSetting: the proxy or the certificates cannot be used.
        """
        text = _from_environment(address) if proxy is None else proxy
        through = _proxy(text) if text else None
        # Reading certificates takes a while, and only TLS needs them.
        is_tls = "https" in (address.scheme, through.scheme if through else "")
        return cls(through, _context(ca_file) if is_tls or ca_file else None)


def _proxy(text: str) -> URL:
    try:
        url = URL(text if "://" in text else f"http://{text}")
        usable = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        url, usable = URL(), False
    if not usable:
        raise InvalidSetting(
            "The proxy for the model provider cannot be used: only http:// and https:// ones can. "
            "Change HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, name the provider's host in NO_PROXY, or "
            "set DLS_PROVIDER_PROXY (`off`: none is used)."
        )
    return url


def _from_environment(address: URL) -> str | None:
    host = address.host or ""
    if _is_here(host) or proxy_bypass(f"{host}:{address.port}") or _is_excepted(host):
        return None
    proxies = getproxies()
    return proxies.get(address.scheme) or proxies.get("all")


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(host: str) -> bool:
    """Whether NO_PROXY names a network that the host is in."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in getproxies().get("no", "").split(","):
        try:
            if "/" in entry and address in ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _context(ca_file: str | None) -> ssl.SSLContext | None:
    bundles = {name: path for name in _BUNDLES if (path := os.environ.get(name))}
    if not ca_file and not bundles:
        return None
    context = ssl.create_default_context()
    for name, path in bundles.items():
        if not _load(context, path):
            logger.warning("%s names certificates that cannot be read. They are not used.", name)
    if ca_file and not _load(context, ca_file):
        raise InvalidSetting(
            f"The certificates in {ca_file} cannot be read. "
            "DLS_PROVIDER_CA must name a file in PEM form that this user may read."
        )
    return context


def _load(context: ssl.SSLContext, path: str) -> bool:
    try:
        is_folder = Path(path).is_dir()
        context.load_verify_locations(
            cafile=None if is_folder else path, capath=path if is_folder else None
        )
    except (OSError, ValueError):  # an SSLError is an OSError
        return False
    return True


#: The open responses, with the future that is done when their connection closes.
_closed: WeakKeyDictionary[aiohttp.ClientResponse, asyncio.Future[None]] = WeakKeyDictionary()


def broke(response: aiohttp.ClientResponse) -> BaseException | None:
    """Why the connection of a held response broke; None if it did not.

    For aiohttp, a body that ends with the connection is complete, even after a reset.
    """
    closed = _closed.get(response)
    return closed.exception() if closed is not None and closed.done() else None


@contextmanager
def held(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Close the response at the end of the block, which stops the provider.

    In the block, the body's reader gets a `ClientPayloadError` if the connection ends first.
    """
    body = response.content

    def on_closed(closed: asyncio.Future[None] | None) -> None:
        if closed is not None and not closed.cancelled():
            closed.exception()  # else asyncio logs it as never retrieved
        if not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("The connection ended before the body."))

    connection = response.connection  # None if the whole body is here already
    protocol = connection.protocol if connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is not None:
        _closed[response] = closed
        closed.add_done_callback(on_closed)
    elif protocol is not None:
        on_closed(None)
    try:
        yield
    finally:
        if closed is not None:
            closed.remove_done_callback(on_closed)
        response.close()
