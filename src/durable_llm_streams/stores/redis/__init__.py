"""The store on Redis."""

from .client.address import RedisAddress
from .store import RedisStore

__all__ = ["RedisAddress", "RedisStore"]
