"""The store on Redis."""

from .client.protocols.address import RedisAddress
from .store import RedisStore

__all__ = ["RedisAddress", "RedisStore"]
