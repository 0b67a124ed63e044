"""The HTTP server: routes, visitors, problems, streams."""

from .app import create_app
from .config import OfferedModel, ServerConfig
from .problems import Unauthenticated
from .visitors import Authenticate, Visitor

__all__ = [
    "Authenticate",
    "OfferedModel",
    "ServerConfig",
    "Unauthenticated",
    "Visitor",
    "create_app",
]
