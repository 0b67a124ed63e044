"""Ports for servers that are killed and started again while clients knock."""

from __future__ import annotations

import random
import socket

#: Below the ports that systems give to outgoing connections (Linux: from 32768). A client
#: that connects to a port of that range without a listener can meet itself. While a server is
#: down, its port could be given to any connection.
RANGE = range(12_000, 32_000)

_random = random.SystemRandom()
_taken: set[int] = set()


def unused_port() -> int:
    """A port of the loopback interface that is free, and that this process gets only once."""
    for _ in range(1000):
        port = _random.choice(RANGE)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise AssertionError(f"No port is free between {RANGE.start} and {RANGE.stop}")
