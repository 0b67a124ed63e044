"""Cross-origin requests: pages of named origins may send them, others may not.

Theory of operation
===================
1. Named origins get what CORS needs (Fetch standard, section 3.3): answers to preflights, readable
   answers, cookies.
2. Then cookies are `SameSite=None`, and a browser adds them to requests of any page. Most of these
   need a preflight, but not, for example, a form that posts. So a request that changes something
   is refused if it comes from another site that is not named. Browsers send the site in
   `Sec-Fetch-Site` (Fetch Metadata); older ones only the origin.
3. Requests without `Origin` are not from a browser, or change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import problem

_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_EXPOSED: Final = ("Retry-After", "X-Run-Id", "X-Vercel-AI-UI-Message-Stream")
_PREFLIGHT_SECONDS: Final = 7200  # Chromium's longest


class CrossOrigin(CORSMiddleware):
    """Accepts requests of pages of named origins, and refuses those of others.

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] == "http" and self._is_foreign(scope):
            await _refused()(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight; with a problem document if it is refused."""
        if not self.is_allowed_origin(request_headers["origin"]):
            return _refused()
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        detail = "Pages of other sites cannot send this method. See /docs for what there is."
        return problem(403, "cross-origin", "Not from other sites", detail)

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a page of an origin that is not named wants to change something."""
        if scope["method"] in _SAFE:
            return False
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None or self.is_allowed_origin(origin):
            return False
        if site is not None:
            return site == "cross-site"
        # Only over https do other sites send cookies; over http, proxies may change the host.
        hosts = {headers.get("host"), headers.get("x-forwarded-host")}
        return scope["scheme"] == "https" and urlsplit(origin).netloc not in hosts


def _refused() -> Response:
    detail = (
        "Pages of this site may not call the server. To allow them, add their origin to "
        "DLS_CORS_ORIGINS."
    )
    return problem(403, "cross-origin", "Not from other sites", detail)
