"""The readiness check: whether the file can be written, tested by a write to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable

from durable_llm_streams.errors import StoreUnavailable

from .file import DatabaseFile

#: With less free space than this a message may not fit. A row of a few bytes still does, in a
#: write-ahead log that was larger before.
FLOOR_BYTES = 1024 * 1024
#: Milliseconds from one write to the next at least: load balancers check often.
BETWEEN_WRITES = 1000


class Readiness:
    """Checks a file by writing to it.

    Args:
        file: the serving connection.
        monotonic: a monotonic clock, in milliseconds.
    """

    def __init__(self, file: DatabaseFile, monotonic: Callable[[], int]) -> None:
        self._file = file
        self._monotonic = monotonic
        self._written: int | None = None

    def check(self) -> None:
        """Write a row, unless one was written within `BETWEEN_WRITES`.

        Raises:
            StoreUnavailable: it could not be written, or the disk is nearly full.
            StoreLocked: another process took the file over.
        """
        at = self._monotonic()
        due = self._written is None or not 0 <= at - self._written < BETWEEN_WRITES
        with self._file.transaction() as connection:
            if due:
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('check', ?)", (at,))
        if due:
            self._written = at
        self._check_space()

    def _check_space(self) -> None:
        try:
            disk = os.statvfs(self._file.path.parent)
        except OSError as error:
            raise StoreUnavailable(
                f"The folder of the store {self._file.path} cannot be read ({error.strerror}). "
                "Check that its disk is there."
            ) from error
        # Root may use the reserved blocks. Some network file systems report no size.
        blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
        free = blocks * disk.f_frsize
        if disk.f_blocks and free < FLOOR_BYTES:
            raise StoreUnavailable(
                f"The disk of the store {self._file.path} has {free // 1024} KiB left. "
                "Free some space on it; answers go on by themselves."
            )
