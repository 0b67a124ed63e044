"""Around the routes: which requests come in, and what every response carries.

Theory of operation
===================
1. The host must be one of ours. Otherwise a page could give its own name this server's address, and
   be of the same origin (DNS rebinding). Health checks ask by address, and learn nothing.
2. A request that changes something must not come from another site (`cross_origin`).
3. Every response, a refusal too, carries the security headers (`policy`).
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .cross_origin import SAFE_METHODS, ForeignRequests
from .edge import Hosts
from .policy import secured
from .problems import problem

_CHECKS: Final = ("/healthz", "/readyz")
_READS: Final = ("GET", "HEAD")


class Safeguards:
    """Checks a request's host and origin, and adds the headers of every response.

    Args:
        app: the application.
        hosts: the names by which it may be addressed.
        foreign: recognises requests of other sites.
        base_path: the path below which everything is served, or "".
    """

    def __init__(
        self, app: ASGIApp, hosts: Hosts, foreign: ForeignRequests, base_path: str = ""
    ) -> None:
        self._app, self._hosts, self._foreign = app, hosts, foreign
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        https = scope["scheme"] == "https"

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": secured(message["headers"], https=https)}
            await send(message)

        refused = self._refusal(scope)
        await (refused or self._app)(scope, receive, send_secured)

    def _refusal(self, scope: Scope) -> Response | None:
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1 and not (scope["http_version"] == "1.0" and not named):
            detail = "An HTTP/1.1 request has one `Host` header (RFC 9112, section 3.2)."
            return problem(400, "invalid-request", "Invalid request", detail)
        host = named[0].decode("latin-1") if named else ""
        if not (self._hosts.accepts(host) or self._is_check(scope)):
            return problem(421, "unknown-host", "Not this server", _unknown(host))
        if scope["method"] in SAFE_METHODS:
            return None
        return self._foreign.refusal() if self._foreign.found(Headers(scope=scope)) else None

    def _is_check(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return scope["method"] in _READS and path.removeprefix(self._base_path) in _CHECKS


def _unknown(host: str) -> str:
    return (
        f"This server does not serve the host {host[:100]!r}. If it should, its operator adds the "
        "name to DLS_HOSTS, without a port."
    )
