"""An async client for the HTTP API. Its streams survive lost connections and servers."""

from __future__ import annotations

from ._answers import Event, ServerRefused
from ._client import DurableClient, new_id
from ._retry import Retry, ServerUnreachable, State

__all__ = [
    "DurableClient",
    "Event",
    "Retry",
    "ServerRefused",
    "ServerUnreachable",
    "State",
    "new_id",
]
