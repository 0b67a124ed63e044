"""How much time a store has seen pass: the clock of retention, instead of a wall clock.

Theory of operation
===================
1. Wall clocks jump: ahead by a year and back, or to 1970 at boot until the network sets them. A
   store that compared its stamps with such a clock would delete everything in that moment.
2. So a store counts the time that it has seen. Housekeeping looks at the wall clock about once a
   minute. A look adds what that clock moved since the last look, but not more than a monotonic
   clock did, and never more than `MOST_BETWEEN_LOOKS`. A clock that was set back adds nothing.
3. While no process serves, no monotonic clock runs on. The first look of a process adds at most
   `MOST_UNSERVED`, and at most a tenth of the shortest retention.
4. A chat is stamped with the store's time at each change, a run at its end. Only these stamps are
   compared with an age. Deletion may come late, after a long stop, but a jump never makes it early.
5. The count is in the store. Processes that share a Redis use its clock. Each adds only what that
   clock moved since the last look of any process, so no minute is counted twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from durable_llm_streams.store import Retention

#: How many milliseconds count between two looks of a process, at most.
MOST_BETWEEN_LOOKS: Final = 5 * 60 * 1000
#: How many count between the last look of one process and the first look of the next, at most.
MOST_UNSERVED: Final = 60 * 60 * 1000

_SHARE_UNSERVED = 10
_TOLERANCE = 5 * 60 * 1000
_LONG_UNSERVED = 30 * 24 * 60 * 60 * 1000

logger = logging.getLogger(__name__)


def counted(moved: int, most: int) -> int:
    """What a look adds to the store's time, in milliseconds.

    Args:
        moved: how far the wall clock moved since the last look.
        most: how much of that counts at most, see `ClockWatch.look`.
    """
    return max(0, min(moved, most))


class Look(NamedTuple):
    """A look at the wall clock that has begun.

    Attributes:
        at: the monotonic clock, in milliseconds.
        most: how many milliseconds can have passed since the last look.
    """

    at: int
    most: int


class ClockWatch:
    """One process's looks at a wall clock. Bounds what each of them counts, and logs jumps.

    Args:
        monotonic: a monotonic clock, in milliseconds.
        whose: the name of the wall clock in the log.
    """

    def __init__(self, monotonic: Callable[[], int], whose: str = "The clock") -> None:
        self._monotonic = monotonic
        self._whose = whose
        self._looked: int | None = None  # the monotonic clock at the last look
        self._compared: tuple[int, int] | None = None  # wall and monotonic clock

    def look(self, retention: Retention) -> Look:
        """Begin a look.

        Args:
            retention: how long things are kept.
        """
        at = self._monotonic()
        if self._looked is not None:
            return Look(at, counted(at - self._looked, MOST_BETWEEN_LOOKS))
        shortest = min(retention.log, retention.chat) if retention.chat > 0 else retention.log
        share = round(max(0.0, shortest) * 1000 / _SHARE_UNSERVED)
        return Look(at, min(share, MOST_UNSERVED))

    def looked(self, look: Look, wall: int, before: int, *, quiet: bool = False) -> bool:
        """Finish a look that was written to the store. A jump of the clock is logged, once.

        Args:
            look: what `look` has returned.
            wall: the wall clock, in milliseconds since 1970 UTC.
            before: the wall clock at the last look that the store knows.
            quiet: log nothing.

        Returns:
            Whether there was something to log.
        """
        is_first, self._looked = self._looked is None, look.at
        jumped = self.check_jump(wall, quiet=quiet)
        if not is_first:
            return jumped
        level, what = _about_unserved(wall - before, look.most)
        if level and not quiet:
            since, now, counts = _date(before), _date(wall), _span(look.most)
            logger.log(level, what.format(whose=self._whose, since=since, now=now, counts=counts))
        return jumped or level > 0

    def check_jump(self, wall: int, *, quiet: bool = False) -> bool:
        """Log a jump of the wall clock against the monotonic one. Does nothing else.

        Args:
            wall: the wall clock, in milliseconds since 1970 UTC.
            quiet: log nothing.

        Returns:
            Whether it jumped since the last check or look.
        """
        at = self._monotonic()
        last, self._compared = self._compared, (wall, at)
        if last is None:
            return False
        passed = counted(at - last[1], MOST_BETWEEN_LOOKS)
        if abs(wall - last[0] - passed) <= _TOLERANCE:
            return False
        if not quiet:
            logger.warning(
                "%s jumped from %s to %s: it was set, or this machine was suspended. Nothing is "
                "deleted because of it; retention counts the time that a server has seen pass.",
                self._whose,
                _date(last[0]),
                _date(wall),
            )
        return True


def _about_unserved(moved: int, most: int) -> tuple[int, str]:
    """What is logged about a process's first look; level 0: nothing."""
    if moved < -_TOLERANCE:
        return logging.WARNING, (
            "{whose} shows {now}, but it showed {since} when this store was last served: it is "
            "wrong now or was wrong then. Nothing is deleted because of it."
        )
    if moved <= max(most, MOST_UNSERVED):
        return 0, ""
    return logging.WARNING if moved > _LONG_UNSERVED else logging.INFO, (
        "{whose} shows {now}, and it showed {since} when this store was last served. Whether that "
        "time has really passed is unknown, so {counts} of it count towards retention."
    )


def _date(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"


def _span(milliseconds: int) -> str:
    return str(timedelta(seconds=milliseconds // 1000))
