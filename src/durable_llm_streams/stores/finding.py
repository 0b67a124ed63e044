"""A finding of a check of a store, made before the store is used."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["fatal", "danger", "note"]


class Finding(NamedTuple):
    """One finding about a store.

    Attributes:
        level: `fatal` prevents the start, `danger` may lose answers, `note` is good to know.
        text: a sentence: what was found, and what to change.
    """

    level: Level
    text: str
