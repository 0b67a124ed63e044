"""`knee`: how many chunks a second one core serves before they come late.

Runs with one reader each are added step by step. The search ends when the p99 of a chunk's
latency, from its making to its reading, is above 100 ms twice in a row. All servers share one core;
Redis and the readers have the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..load import RATE
from ..report import Figure
from .book import Book
from .readers import Measured, measure
from .servers import Kind, Places, site
from .sizes import Size

LIMIT_MS: Final = 100.0
TARGET: Final = 2.5


def knee(book: Book, size: Size) -> Iterator[Figure]:
    """Find both knees, for resumed readers."""
    found = {kind: highest(book, size, kind) for kind in ("ours", "theirs")}
    ours, theirs = found["ours"], found["theirs"]
    yield Figure(
        name="resumed readers: most chunks/s on a core, ours / theirs",
        values=[ours.chunks_per_second / theirs.chunks_per_second],
        target=TARGET,
        more_is_better=True,
        noise=max(ours.others, theirs.others),
    )
    for kind, one in found.items():
        yield Figure(
            name=f"resumed readers: most chunks/s on a core, {kind}",
            values=[one.chunks_per_second],
            unit="/s",
            noise=one.others,
        )


def highest(
    book: Book,
    size: Size,
    kind: Kind,
    *,
    writers: int = 1,
    followers: int = 1,
    places: Places | None = None,
) -> Measured:
    """The highest step that is served in time; the first one where none is."""
    what = f"{kind} knee, {writers + followers} processes"
    best: Measured | None = None
    with site(kind, writers=writers, followers=followers, places=places) as there:
        steps = measure(
            there,
            size.steps,
            warm_up=size.warm_up,
            window=size.window / 2,
            limit=LIMIT_MS,
            places=places,
        )
        for one in steps:
            book.take(what, one)
            served = one.latencies[2] <= LIMIT_MS and one.chunks_per_second > one.runs * RATE * 0.95
            if best is None or served:
                best = one
    assert best is not None
    return best
