"""File descriptors: how many this process may have, and how many connections they allow."""

from __future__ import annotations

from typing import Final

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

_RESERVE: Final = 32  # the store, the listeners, the log
_PER_RUN: Final = 4  # every fourth descriptor is kept for connections to providers and the store


def raise_descriptor_limit() -> int | None:
    """Allow this process as many descriptors as its hard limit.

    Returns:
        How many it may have; None if there is no limit.
    """
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # a system may allow less than it says
        hard = soft
    return None if hard == resource.RLIM_INFINITY else hard


def most_connections(descriptors: int) -> int:
    """How many client connections fit beside everything else that needs a descriptor.

    Args:
        descriptors: how many the process may have.
    """
    return max(8, descriptors - descriptors // _PER_RUN - _RESERVE)
