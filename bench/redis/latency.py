"""`latency`: from a chunk's making in one process to its reading through another.

Nothing is pinned here: processes lie where the system puts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..report import Figure
from .book import Book
from .readers import measure
from .servers import anywhere, site
from .sizes import Size

HALF_MS: Final = 5.0
NEARLY_MS: Final = 20.0


def latency(book: Book, size: Size) -> Iterator[Figure]:
    """Measure moderate loads."""
    places = anywhere()
    with site("ours", followers=1, places=places) as there:
        levels = measure(
            there,
            size.moderate,
            warm_up=size.warm_up,
            window=size.window,
            timed_every=5,
            places=places,
        )
        for one in levels:
            book.take("ours resumed, unpinned", one)
            at = f"{one.runs} runs"
            for share, name, target in ((0, "p50", HALF_MS), (2, "p99", NEARLY_MS)):
                yield Figure(
                    name=f"{at}: through another process, {name}",
                    values=[one.latencies[share]],
                    unit="ms",
                    target=target,
                    noise=one.others,
                )
