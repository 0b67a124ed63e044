"""Requests of other sites' pages: those that are named may send them, no others.

Theory of operation
===================
1. Named origins get what CORS needs (Fetch standard, section 3.3): preflights are answered, answers
   may be read, cookies are taken.
2. Then cookies are `SameSite=None`, and a browser adds them to what any page sends. Most of that
   needs a preflight, but not, for example, a form that posts. So a request that changes something
   and comes from a site that is not named is refused here. Browsers tell in `Sec-Fetch-Site`
   (Fetch Metadata); older ones only in `Origin`.
3. Requests without `Origin` are no browser's, or change nothing.
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


class Crossing(CORSMiddleware):
    """Lets pages of named origins in, and keeps those of others out.

    Args:
        app: the application.
        origins: whose pages may call it; none is allowed where it is only shown in frames.
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
        """What may be sent from where; a problem for what may not."""
        if not self.is_allowed_origin(request_headers["origin"]):
            return _refused()
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        detail = "Pages of other sites cannot send this method. See /docs for what there is."
        return problem(403, "cross-origin", "Not from other sites", detail)

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a page that nobody named wants to change something."""
        if scope["method"] in _SAFE:
            return False
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None or self.is_allowed_origin(origin):
            return False
        if site is not None:
            return site == "cross-site"
        # Only over https are cookies given to other sites; elsewhere proxies may change the host.
        hosts = {headers.get("host"), headers.get("x-forwarded-host")}
        return scope["scheme"] == "https" and urlsplit(origin).netloc not in hosts


def _refused() -> Response:
    detail = (
        "Pages of this site may not call the server. If they shall, name their origin in "
        "DLS_CORS_ORIGINS."
    )
    return problem(403, "cross-origin", "Not from other sites", detail)
