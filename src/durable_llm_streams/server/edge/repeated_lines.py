"""A log filter: a flood of bad requests must not fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from typing_extensions import override

_LINES: Final = 20
_SECONDS: Final = 60.0
_MOST_KINDS: Final = 1000  # a kind is a line of the code, but a library may format its own


class _Kind(NamedTuple):
    logger: str
    level: int
    template: str


class RepeatedLines(logging.Filter):
    """Lets some lines of a kind through each minute, then only their count.

    Lines are of one kind if they have the same logger, level and message before its arguments are
    put in. Add it to a handler: a logger's filter does not see its children's lines.

    Args:
        lines: of one kind in a minute.
        seconds: the length of that minute.
        now: the time in seconds, from any beginning.
    """

    def __init__(
        self,
        lines: int = _LINES,
        seconds: float = _SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._most, self._seconds, self._now = lines, seconds, now
        self._since = now()
        self._counts: dict[_Kind, int] = {}
        self._is_counting = False

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written. The first line of a new minute is preceded by the counts."""
        if self._is_counting:
            return True
        now = self._now()
        if now - self._since >= self._seconds:
            counts, self._counts, self._since = self._counts, {}, now
            self._write(counts)
        kind = _Kind(record.name, record.levelno, str(record.msg)[:200])
        if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
            kind = _Kind(record.name, record.levelno, "other lines")
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        return count <= self._most

    def _write(self, counts: dict[_Kind, int]) -> None:
        self._is_counting = True
        try:
            for kind, count in counts.items():
                if count > self._most:
                    logging.getLogger(kind.logger).log(
                        kind.level, "%d more lines like: %s", count - self._most, kind.template
                    )
        finally:
            self._is_counting = False
