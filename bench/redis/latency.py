"""`latency`: from a chunk's making in one process to its reading through another.

Nothing is pinned here: processes lie where the system puts them. The store's pace holds records
back by design where there are few, to spare commands, and where there are very many, to spare CPU.
There the latency is what the pace makes of it, and has no target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from durable_llm_streams.stores.redis.store import PACE

from ..load import RATE
from ..report import Figure
from .book import Book
from .readers import measure
from .servers import anywhere, site
from .sizes import Size

HALF_MS: Final = 3.0
NEARLY_MS: Final = 10.0


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
            rate = one.runs * RATE
            held = max(PACE.spacing(rate), PACE.hold(rate))
            at = f"{one.runs} runs"
            if held > PACE.shortest:
                at += f", held back by up to {held * 1000:.0f} ms"
            for share, name, target in ((0, "p50", HALF_MS), (2, "p99", NEARLY_MS)):
                yield Figure(
                    name=f"{at}: through another process, {name}",
                    values=[one.latencies[share]],
                    unit="ms",
                    target=target if held <= PACE.shortest else None,
                    noise=one.others,
                )
