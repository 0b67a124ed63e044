"""The limits of one server process, for uvicorn."""

from __future__ import annotations

import functools
import logging
from typing import Any

from msgspec import structs

from .addresses import exempt
from .descriptors import most_connections, raise_descriptor_limit
from .gate import Gate
from .limits import EdgeLimits

logger = logging.getLogger(__name__)


def guarded(limits: EdgeLimits, proxies: str) -> Any:
    """The value of `uvicorn.Config(http=...)` for a server with these limits.

    Args:
        limits: what connections may cost.
        proxies: as in `FORWARDED_ALLOW_IPS`: their connections are not counted by address.
    """
    try:
        from .protocol import GuardedProtocol
    except ImportError:  # no httptools: not CPython
        logger.warning("Without the package httptools the server has no limits of connections.")
        return "auto"
    return functools.partial(GuardedProtocol, gate=Gate(limits, exempt(proxies)))


def for_this_process(limits: EdgeLimits) -> EdgeLimits:
    """The limits, with as many connections as the process has descriptors for.

    It first raises the soft limit of descriptors to the hard one.
    """
    descriptors = raise_descriptor_limit()
    if descriptors is None:
        return limits
    connections = most_connections(descriptors)
    return structs.replace(limits, descriptors=descriptors, connections=connections)
