"""The headers in which proxies forward the scheme of the original request.

uvicorn reads `X-Forwarded-Proto` of trusted proxies, if it is exactly `http` or `https`. In
practice it may be a list, one word for each proxy, or in capitals; and there is `Forwarded` (RFC
7239). They are normalised here to what uvicorn reads. uvicorn decides which proxies are trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_HEADER: Final = "x-forwarded-proto"
_SCHEMES: Final = ("http", "https")


def behind_proxies(app: ASGIApp, trusted: str | Sequence[str]) -> ASGIApp:
    """Wrap an application so that it gets the scheme and the address that a browser used.

    Args:
        app: the application.
        trusted: addresses or networks of trusted proxies, as in `FORWARDED_ALLOW_IPS`.
    """
    wrapped: Any = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]

    async def normalised(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            scheme = first_scheme(headers.getlist(_HEADER), headers.getlist("forwarded"))
            if scheme is not None:
                others = [pair for pair in scope["headers"] if pair[0] != _HEADER.encode()]
                scope = {**scope, "headers": [*others, (_HEADER.encode(), scheme.encode())]}
        await wrapped(scope, receive, send)

    return normalised


def first_scheme(protos: Sequence[str], forwarded: Sequence[str]) -> str | None:
    """The scheme that the browser used; None if no proxy forwards `http` or `https`.

    Args:
        protos: the values of `X-Forwarded-Proto`; the first word is the outermost proxy's.
        forwarded: the values of `Forwarded` (RFC 7239, section 4), used if there are no `protos`.
    """
    if protos:
        return _scheme(protos[0].partition(",")[0])
    for parameter in ",".join(forwarded).partition(",")[0].split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "proto":
            return _scheme(value)
    return None


def _scheme(text: str) -> str | None:
    scheme = text.strip().strip('"').strip().lower()
    return scheme if scheme in _SCHEMES else None
