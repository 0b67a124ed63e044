"""A flood of bad requests writes a few lines and a number."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from durable_llm_streams.server.edge import RepeatedLines


class Log:
    """A logger with the filter, what it has written, and the time."""

    def __init__(self) -> None:
        self.time = 0.0
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.addFilter(RepeatedLines(lines=3, seconds=60, now=lambda: self.time))
        self.logger = logging.getLogger("tests.repeated_lines")
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.logger.removeHandler(log.handler)


def test_a_minute_has_so_many_lines_of_a_kind_and_then_their_number(log: Log) -> None:
    for number in range(1000):
        log.logger.warning("Bad request %d", number)
    log.logger.error("Another kind")
    assert log.lines == ["Bad request 0", "Bad request 1", "Bad request 2", "Another kind"]
    log.time = 59.9
    log.logger.warning("Bad request %d", 1000)
    assert len(log.lines) == 4
    log.time = 60.0
    log.logger.warning("Bad request %d", 1001)
    assert log.lines[4:] == ["998 more lines like: Bad request %d", "Bad request 1001"]


def test_kinds_without_number_do_not_fill_the_memory(log: Log) -> None:
    for number in range(5000):
        log.logger.warning(f"Kind {number}")  # noqa: G004 - a kind each
    assert len(log.lines) == 1000 + 3
