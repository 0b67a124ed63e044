"""`cpu`: what a chunk costs, ours beside theirs, at the same number of runs.

Each pair is measured in turns; a ratio is made within a pair. Live readers are in the writer's
process, resumed ones in another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..report import Figure
from .book import Book
from .readers import Measured, measure
from .servers import Kind, site
from .sizes import Size

TARGETS: Final = {"live": 1.0, "resumed": 0.7}

_DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "everysec")

Levels = dict[int, Measured]


def cpu(book: Book, size: Size) -> Iterator[Figure]:
    """Measure every level."""
    for readers, target in TARGETS.items():
        pairs = [_pair(book, size, readers, turn) for turn in range(size.repeat)]
        for level in size.levels:
            yield from _figures(
                f"{level} {readers} readers: ",
                [(ours[level], theirs[level]) for ours, theirs in pairs],
                target,
            )
    level = size.levels[-1]
    kept = _levels(book, size, "ours", "live", (level,), _DURABLE)[level]
    yield Figure(
        name=f"{level} live readers: CPU per chunk, ours, append-only file",
        values=[kept.cpu_per_chunk],
        unit="us",
        noise=kept.others,
    )


def _pair(book: Book, size: Size, readers: str, turn: int) -> tuple[Levels, Levels]:
    kinds: tuple[Kind, ...] = ("ours", "theirs")
    found = {
        kind: _levels(book, size, kind, readers, size.levels)
        for kind in (kinds if turn % 2 == 0 else kinds[::-1])
    }
    return found["ours"], found["theirs"]


def _levels(
    book: Book,
    size: Size,
    kind: Kind,
    readers: str,
    levels: tuple[int, ...],
    redis: tuple[str, ...] = (),
) -> Levels:
    with site(kind, followers=int(readers == "resumed"), redis=redis) as there:
        found = measure(there, levels, warm_up=size.warm_up, window=size.window)
        return {one.runs: book.take(f"{kind} {readers}", one) for one in found}


def _figures(at: str, pairs: list[tuple[Measured, Measured]], target: float) -> Iterator[Figure]:
    noise = max(max(ours.others, theirs.others) for ours, theirs in pairs)
    yield Figure(
        name=at + "CPU per chunk, ours / theirs",
        values=[ours.cpu_per_chunk / theirs.cpu_per_chunk for ours, theirs in pairs],
        target=target,
        noise=noise,
    )
    for which, name in enumerate(("ours", "theirs")):
        sides = [pair[which] for pair in pairs]
        for text, values, unit in (
            ("CPU per chunk", [one.cpu_per_chunk for one in sides], "us"),
            ("of that Redis", [one.share("redis") for one in sides], "us"),
            ("latency, p50", [one.latencies[0] for one in sides], "ms"),
            ("latency, p99", [one.latencies[2] for one in sides], "ms"),
        ):
            yield Figure(name=f"{at}{text}, {name}", values=values, unit=unit, noise=noise)
