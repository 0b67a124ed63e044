"""What is said about a store before it is trusted with answers."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["fatal", "danger", "note"]


class Finding(NamedTuple):
    """One sentence about a store.

    Attributes:
        level: `fatal` stops the start, `danger` may lose answers, `note` is good to know.
        text: what is so, and what to change.
    """

    level: Level
    text: str
