"""How long to wait before a retry."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple


class Backoff(NamedTuple):
    """Exponential backoff with jitter.

    Attributes:
        first: the bound of the first delay, in seconds; each further one is twice as long.
        longest: the bound of all delays, in seconds.
        jitter: the share of a delay that is random, from 0 to 1. Half of it (`equal jitter`) keeps
            a least delay; all of it (`full jitter`) spreads many clients best. See
            https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    first: float
    longest: float
    jitter: float = 0.5

    def delay(self, failures: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait.

        Args:
            failures: how many there were in a row, at least 1.
            draw: a random number from 0 to 1.
        """
        bound = min(self.longest, self.first * 2.0 ** min(failures - 1, 60))
        return bound * (1.0 - self.jitter + self.jitter * draw())
