"""Cross-origin requests: pages of named origins may send them, others may not.

Theory of operation
===================
1. Named origins get what CORS needs (Fetch standard, section 3.3): answers to preflights, readable
   answers, cookies.
2. A browser adds cookies to requests of pages of other ports and subdomains, and with named origins
   to those of any page. Most requests need a preflight, but not, for example, a form that posts.
   So a request that changes something is refused if its page is neither ours nor named.
3. Browsers send the relation of the two sites in `Sec-Fetch-Site` (Fetch Metadata); older ones, and
   all of them over http, only the origin. Then it is compared with the host.
4. Requests without both are not from a browser. One with `Authorization: Bearer` was made by code
   that knows the token; browsers add other schemes by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp
from typing_extensions import override

from .problems import problem

_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")
#: Methods that change nothing (RFC 9110, section 9.2.1).
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_EXPOSED: Final = ("Retry-After", "X-Run-Id", "X-Vercel-AI-UI-Message-Stream")
_PREFLIGHT_SECONDS: Final = 7200  # Chromium's longest
_OWN: Final = ("same-origin", "none")  # `none`: a person typed the address
_PORTS: Final = {"http": ":80", "https": ":443"}


class CrossOrigin(CORSMiddleware):
    """Answers requests of pages of named origins as browsers need it.

    Args:
        app: the application.
        origins: whose pages may call it; empty if pages may only be shown in frames.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            allow_credentials=True,
            expose_headers=_EXPOSED,
            max_age=_PREFLIGHT_SECONDS,
        )

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight; with a problem document if it is refused."""
        if not self.is_allowed_origin(request_headers["origin"]):
            return _refused()
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        detail = "Pages of other sites cannot send this method. See /docs for what there is."
        return problem(403, "cross-origin", "Not from other sites", detail)


class ForeignRequests:
    """Recognises requests of other sites' pages that would change something.

    Args:
        origins: whose pages may send them all the same.
    """

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self._origins = frozenset(origins)

    def found(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers, whose method is not a safe one, is foreign."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if (origin is None and site is None) or origin in self._origins:
            return False
        if headers.get("authorization", "")[:7].lower() == "bearer ":
            return False
        if site is not None:
            return site not in _OWN
        hosts = headers.get("host"), headers.get("x-forwarded-host")
        return origin is not None and not _is_of(origin, hosts)

    def refusal(self) -> Response:
        """The response to such a request."""
        return _refused()


def _is_of(origin: str, hosts: Sequence[str | None]) -> bool:
    """Whether an origin is one of these hosts; the scheme may be a proxy's."""
    parts = urlsplit(origin)
    port = _PORTS.get(parts.scheme, "")
    host = parts.netloc.removesuffix(port) if port else parts.netloc
    return any(each and each.lower().removesuffix(port) == host for each in hosts)


def _refused() -> Response:
    detail = (
        "Pages of this site may not call the server. To allow them, add their origin to "
        "DLS_CORS_ORIGINS. If it is the server's own site, its proxy must pass on `Host`."
    )
    return problem(403, "cross-origin", "Not from other sites", detail)
