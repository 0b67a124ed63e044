"""What proxies tell of the request that reached the first of them.

uvicorn believes `X-Forwarded-Proto` of proxies that it is told to trust, if it holds exactly
`http` or `https`. Real ones hold a list, one word for each proxy, or capitals; and there is
`Forwarded` (RFC 7239). Here these become what uvicorn reads. Whom to trust, uvicorn decides.
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
    """An application that knows the scheme and the address that a browser used.

    Args:
        app: the application.
        trusted: addresses or networks of proxies that are believed, as in `FORWARDED_ALLOW_IPS`.
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
    """The scheme that the browser used; None where no proxy tells of one that we know.

    Args:
        protos: the values of `X-Forwarded-Proto`; the first word is the outermost proxy's.
        forwarded: the values of `Forwarded` (RFC 7239, section 4); it counts where there is no
            other.
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
