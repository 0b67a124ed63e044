"""A broken promise."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """A broken promise.

    Attributes:
        promise: its id in `tests/promises.py`.
        what: what was expected and what was there, in a sentence.
        record: the number of the log's record that shows it; 0 for none.
    """

    promise: str
    what: str
    record: int = 0

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"
