"""What the application answers: its routes, walked to the last one, and what each of them does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_IGNORED = {"HEAD", "OPTIONS"}

Verb = Literal["read", "write", "none"]

#: What each operation does with the chats of the one who asks. A route that is missing here fails
#: the test: say what it does, and see that the requests of `requests.py` try it.
VERBS: dict[tuple[str, str], Verb] = {
    ("POST", "/api/chat"): "write",
    ("GET", "/api/chat/{chat_id}/stream"): "read",
    ("POST", "/api/chat/{chat_id}/stop"): "write",
    ("GET", "/api/chats"): "read",
    ("GET", "/api/chats/{chat_id}"): "read",
    ("PATCH", "/api/chats/{chat_id}"): "write",
    ("DELETE", "/api/chats/{chat_id}"): "write",
    ("GET", "/api/events"): "read",
    ("GET", "/api/models"): "none",
    ("GET", "/api/visitor"): "none",
    ("POST", "/api/visitor/sign-out"): "none",
    ("POST", "/api/visitor/links"): "none",
    ("POST", "/api/visitor/links/use"): "none",
    ("GET", "/link"): "none",
    ("GET", "/healthz"): "none",
    ("GET", "/readyz"): "none",
    ("GET", "/openapi.json"): "none",
    ("GET", "/docs"): "none",
    ("GET", "/"): "none",
    ("GET", "/c/{chat_id:path}"): "none",
    ("GET", "/assets/{name:path}"): "none",
    ("GET", "/favicon.ico"): "none",
    ("GET", "/icon.svg"): "none",
}


class Operation(NamedTuple):
    """A method of a route."""

    method: str
    path: str

    @property
    def parameters(self) -> list[str]:
        """The names in its path."""
        return re.findall(r"\{(\w+)(?::\w+)?\}", self.path)


def walked(routes: Iterable[Any]) -> Iterator[Any]:
    """All routes, also those of routers and mounted applications."""
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        inner = getattr(route, "routes", None) or getattr(inner, "routes", None)
        if inner:
            yield from walked(inner)
        else:
            yield route


def operations(app: Any) -> set[Operation]:
    """Every method of every route, as the router has it."""
    return {
        Operation(method, route.path)
        for route in walked(app.routes)
        for method in route.methods
        if method not in _IGNORED
    }


def described(app: Any) -> set[Operation]:
    """The operations that the OpenAPI document describes."""
    return {
        Operation(method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
