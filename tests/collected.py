"""Prints as JSON which files test which promise, as pytest collects them: `{PROMISE: [FILE]}`."""

from __future__ import annotations

import json
import sys

import pytest

from tests.conftest import promises_of


class _Collected:
    """A plugin that keeps what is collected."""

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for promise in sorted(promises_of(item)):
                files = self.files.setdefault(promise, [])
                if (file := item.nodeid.partition("::")[0]) not in files:
                    files.append(file)


def main() -> int:
    collected = _Collected()
    status = pytest.main(["--collect-only", "-qq", *sys.argv[1:]], plugins=[collected])
    print(json.dumps(collected.files))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
