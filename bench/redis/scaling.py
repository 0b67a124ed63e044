"""`scaling`: one process and three, on the same two cores, readers and Redis beside them.

Nothing is pinned. What more processes win is what one process alone cannot use: where the readers
and Redis fill the second core, that is little, and each flush carries less.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..report import Figure
from .book import Book
from .knee import highest
from .servers import anywhere
from .sizes import Size

_PROCESSES: Final = (1, 3)


def scaling(book: Book, size: Size) -> Iterator[Figure]:
    """Find the knee of each number of processes, for live readers."""
    found = {
        number: highest(book, size, "ours", writers=number, followers=0, places=anywhere())
        for number in _PROCESSES
    }
    one, three = (found[number] for number in _PROCESSES)
    noise = max(one.others, three.others)
    yield Figure(
        name="live readers: most chunks/s, three processes / one",
        values=[three.chunks_per_second / one.chunks_per_second],
        noise=noise,
    )
    yield Figure(
        name="live readers: CPU per chunk there, three processes / one",
        values=[three.cpu_per_chunk / one.cpu_per_chunk],
        noise=noise,
    )
    for number, at in found.items():
        for name, value, unit in (
            ("most chunks/s", at.chunks_per_second, "/s"),
            ("p99 there", at.latencies[2], "ms"),
            ("cores there, servers and Redis", sum(at.cpu.values()) / at.seconds, "cores"),
            ("cores there, readers", at.reader_cpu / at.seconds, "cores"),
        ):
            yield Figure(
                name=f"live readers, {number} processes: {name}",
                values=[value],
                unit=unit,
                noise=at.others,
            )
