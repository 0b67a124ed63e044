"""Answers that a provider keeps while it makes them, with or without a reader."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

Clock = Callable[[], float]


class Kept(Generic[T]):
    """The text of an answer and its times: all set when it begins.

    Args:
        pieces: in order, each with the seconds after the beginning when it is sent.
        now: the time, in seconds.
        look: the most seconds between two looks of a reader that waits for the next piece.

    Attributes:
        begun: when.
        cancels: how often it was to be ended.
    """

    def __init__(self, pieces: Sequence[tuple[float, T]], now: Clock, look: float = 0.02) -> None:
        self.begun = now()
        self.cancels = 0
        self._times = [self.begun + time for time, _ in pieces]
        self._pieces = [piece for _, piece in pieces]
        self._now = now
        self._look = look
        self._left: int | None = None  # how many pieces there were when it was ended

    @property
    def said(self) -> list[T]:
        """The pieces until now."""
        due = bisect_right(self._times, self._now())
        return self._pieces[: due if self._left is None else self._left]

    @property
    def cancelled(self) -> bool:
        return self._left is not None

    @property
    def over(self) -> bool:
        """Whether the answer is complete."""
        return self.cancelled or self._now() >= self._times[-1]

    def cancel(self) -> None:
        """End it. Repeating that changes nothing."""
        self.cancels += 1
        if not self.over:
            self._left = len(self.said)

    def follow(self, number: int) -> Iterator[T | float]:
        """The pieces from a number on as they are sent; seconds stand for a pause between them."""
        while True:
            over = self.over
            said = self.said[number:]
            yield from said
            number += len(said)
            if over:
                return
            if number == len(self.said):
                wait = self._times[number] - self._now()
                yield max(0.0, min(wait, self._look))
