"""What was measured, printed as it comes."""

from __future__ import annotations

import sys
import time

from .readers import Measured


class Book:
    """Takes down what is measured.

    Attributes:
        raw: every measurement.
        faults: sentences about what must never be.
    """

    def __init__(self) -> None:
        self.raw: list[object] = []
        self.faults: list[str] = []
        self._begun = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line at once."""
        print(f"{time.monotonic() - self._begun:5.0f} s  {line}", file=sys.stderr, flush=True)

    def take(self, what: str, one: Measured) -> Measured:
        """A level was measured. What is lost or doubled by ours is a fault."""
        shares = " + ".join(f"{one.share(name):.1f} {name}" for name in one.cpu)
        half, _, nearly, _ = one.latencies
        self.say(
            f"{what}, {one.runs} runs: {shares} us a chunk, {one.chunks_per_second:.0f} chunks/s, "
            f"p50 {half:.1f} p99 {nearly:.1f} ms, others {one.others:.0%}"
            + (f", {one.faults} streams were not whole" if one.faults else "")
        )
        self.raw.append({"what": what, "measured": one})
        if what.startswith("ours") and (one.faults or not one.chunks):
            self.faults.append(f"{what}, {one.runs} runs: {one.faults} streams were not whole.")
        return one
