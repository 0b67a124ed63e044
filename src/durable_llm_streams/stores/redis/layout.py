"""The names that the other modules and docs/redis.md agree on."""

from __future__ import annotations

#: The layout of the keys. A store of a newer one is refused.
VERSION = 1


def root(prefix: str, partition: int) -> str:
    """What every key and channel of a partition begins with; the braces make it one hash slot."""
    return f"{{{prefix}:{partition}}}"


def store_root(prefix: str) -> str:
    """What the keys of the store itself begin with."""
    return f"{{{prefix}}}"
