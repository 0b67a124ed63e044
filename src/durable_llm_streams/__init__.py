"""LLM answers that survive a reload, a cut network, another device, a killed server, a deploy.

Serve: `open_store` a store, give it with a `Source` to a `Worker`, hand both to `create_app`.
Read: `DurableClient` follows an answer through every loss of the connection or the server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .client import DurableClient, Event, ServerRefused, ServerUnreachable
    from .errors import DurableError, ModelError
    from .model import Cursor
    from .runs import Limits, Worker
    from .server import OfferedModel, Principal, ServerConfig, Unauthenticated, create_app
    from .source import Finish, Prompt, ReasoningDelta, Source, TextDelta, Turn
    from .stores import open_store

__all__ = [
    "Cursor",
    "DurableClient",
    "DurableError",
    "Event",
    "Finish",
    "Limits",
    "ModelError",
    "OfferedModel",
    "Principal",
    "Prompt",
    "ReasoningDelta",
    "ServerConfig",
    "ServerRefused",
    "ServerUnreachable",
    "Source",
    "TextDelta",
    "Turn",
    "Unauthenticated",
    "Worker",
    "__version__",
    "create_app",
    "open_store",
]

# Loaded when first used: a reader needs no web server, and `dls --help` needs neither.
_HOMES = {
    "Cursor": "model",
    "DurableClient": "client",
    "DurableError": "errors",
    "Event": "client",
    "Finish": "source",
    "Limits": "runs",
    "ModelError": "errors",
    "OfferedModel": "server",
    "Principal": "server",
    "Prompt": "source",
    "ReasoningDelta": "source",
    "ServerConfig": "server",
    "ServerRefused": "client",
    "ServerUnreachable": "client",
    "Source": "source",
    "TextDelta": "source",
    "Turn": "source",
    "Unauthenticated": "server",
    "Worker": "runs",
    "create_app": "server",
    "open_store": "stores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
