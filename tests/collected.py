"""Prints what pytest itself knows of the promises: `python -m tests.collected [PYTEST_ARGS]`.

The last line is JSON: `bound` holds `[FILE, FUNCTION, [PROMISE, ...]]` for each test that names
promises, where it is defined, relative to `tests/`; `left_out` the files that could not be
collected here because something that they need is missing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import promises_of

TESTS = Path(__file__).parent


class _Collected:
    """A plugin that keeps what is collected."""

    def __init__(self) -> None:
        self.bound: dict[tuple[str, str], set[str]] = {}
        self.left_out: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.left_out.append(report.nodeid.removeprefix(f"{TESTS.name}/"))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if isinstance(item, pytest.Function) and (names := promises_of(item)):
                defined = Path(item.reportinfo()[0])  # a suite's, where a class inherits from it
                if not defined.is_relative_to(TESTS):  # made by a plugin
                    defined = item.path
                path = defined.relative_to(TESTS).as_posix()
                self.bound.setdefault((path, item.originalname), set()).update(names)


def main() -> int:
    collected = _Collected()
    status = pytest.main(["--collect-only", "-qq", *sys.argv[1:]], plugins=[collected])
    bound = [[*where, sorted(names)] for where, names in sorted(collected.bound.items())]
    print(json.dumps({"bound": bound, "left_out": collected.left_out}))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
