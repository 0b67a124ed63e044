"""The HTTP server: routes, principals, problems, streams."""

from .app import create_app
from .authentication import Authenticate
from .config import OfferedModel, ServerConfig
from .principal import Principal
from .problems import Unauthenticated

__all__ = [
    "Authenticate",
    "OfferedModel",
    "Principal",
    "ServerConfig",
    "Unauthenticated",
    "create_app",
]
