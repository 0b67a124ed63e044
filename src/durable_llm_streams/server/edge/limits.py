"""The limits of connections."""

from __future__ import annotations

from msgspec import Struct


class EdgeLimits(Struct, frozen=True, kw_only=True):
    """What connections may cost.

    Attributes:
        head_bytes: the longest request head: request line, address and headers together. The same
            for what may come between two pieces of a body, such as trailers.
        head_seconds: from a head's first byte to its end.
        silent_seconds: from the connection to the first byte.
        body_seconds: between two pieces of a body. A whole body has as many seconds, and one more
            for each `body_rate` bytes that came.
        body_rate: bytes per second.
        discarded_bytes: how much of a body is read after its request was answered.
        held_bytes: the bodies of all unanswered requests together.
        unread_seconds: without progress, for a response that is complete and not yet sent.
        unread_bytes: such responses of all connections together, as they are in memory.
        stream_seconds: without progress, for a stream. Progress is what the client's system
            acknowledges, and a slow reader's system does so in large pieces.
        pipelined: how many requests may wait behind one that is being answered.
        connections: in all; None for no limit.
        descriptors: how many the process may have; None if that is not known.
        connections_per_address: of one client address, or one IPv6 network of 64 bits.
        linger_seconds: how long a refused client has time to read the reason.
        check_seconds: between two checks of the times.
    """

    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    silent_seconds: float = 30.0
    body_seconds: float = 30.0
    body_rate: int = 1024
    discarded_bytes: int = 16 * 1024 * 1024
    held_bytes: int = 128 * 1024 * 1024
    unread_seconds: float = 60.0
    unread_bytes: int = 40 * 1024 * 1024
    stream_seconds: float = 600.0
    pipelined: int = 128
    connections: int | None = None
    descriptors: int | None = None
    connections_per_address: int = 200
    linger_seconds: float = 2.0
    check_seconds: float = 1.0
