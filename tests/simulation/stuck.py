"""A turn that does not end: detected by CPU time, whatever the load of the machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

#: Seconds of the processor that a history may take. The longest ones take a third of it.
MOST_SECONDS = 60.0


class Stuck(KeyboardInterrupt):
    """A history uses its processor up. Of this kind so that no loop and no task swallows it."""


@contextmanager
def watched(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Raise Stuck in the midst of what takes longer."""

    def tell(_: int, frame: FrameType | None) -> None:
        place = f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}" if frame else "?"
        raise Stuck(f"a turn does not end within {seconds:g} s: {place}")

    before = signal.signal(signal.SIGVTALRM, tell)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
