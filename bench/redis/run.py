"""All measurements of the Redis store, each on servers of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..report import Figure, Outcome
from .book import Book
from .calls import calls
from .commands import commands
from .cpu import cpu
from .knee import knee
from .latency import latency
from .memory import memory
from .scaling import scaling
from .servers import find_node, find_redis
from .sizes import Size
from .waking import waking

PARTS: Final[dict[str, Callable[[Book, Size], Iterator[Figure]]]] = {
    "cpu": cpu,
    "calls": calls,
    "knee": knee,
    "latency": latency,
    "waking": waking,
    "commands": commands,
    "memory": memory,
    "scaling": scaling,
}


def run(size: Size, parts: Sequence[str]) -> Outcome:
    """Measure what `parts` names, by default everything; figures are printed as they come.

    Raises:
        SystemExit: there is no Redis or no Node.js.
    """
    find_redis()
    find_node()
    book = Book()
    figures: list[Figure] = []
    for name in parts or PARTS:
        for figure in PARTS[name](book, size):
            figures.append(figure)
            book.say(f"= {figure.name}: {figure.value:.3g} {figure.unit} {figure.verdict}".rstrip())
    return Outcome(name="redis", figures=figures, faults=book.faults, raw=book.raw)
