"""What a call to Redis may raise. `failures` says what it means."""

from __future__ import annotations


class RedisError(Exception):
    """A call to Redis failed."""


class RedisConnectionError(RedisError):
    """There is no connection, or it was cut. Whether a command ran is unknown."""


class RedisTimeoutError(RedisError):
    """No reply in time. Whether a command ran is unknown."""


class MasterNotFound(RedisConnectionError):
    """No Sentinel names a master of the service."""


class ResponseError(RedisError):
    """The server's reply is an error.

    Attributes:
        code: its first word, such as `NOSCRIPT` or `ERR`.
    """

    @property
    def code(self) -> str:
        """See above."""
        return str(self).partition(" ")[0]


class InvalidReply(RedisError):
    """The bytes of the server are not the Redis protocol."""
