"""The edge of the server: what each connection may cost, before any route sees a request."""

from .addresses import network_of
from .descriptors import most_connections, raise_descriptor_limit
from .gate import Gate
from .hosts import Hosts, accepted_hosts, is_loopback
from .limits import EdgeLimits
from .repeated_lines import RepeatedLines

__all__ = [
    "EdgeLimits",
    "Gate",
    "Hosts",
    "RepeatedLines",
    "accepted_hosts",
    "is_loopback",
    "most_connections",
    "network_of",
    "raise_descriptor_limit",
]
