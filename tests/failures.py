"""How failed tests are shown: each fault in full once, and the commands that run them again."""

from __future__ import annotations

import ast
import functools
import gc
import os
import re
import shlex
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation

#: No failure shows more commands than these.
_MOST_COMMANDS = 20

_CHANGES = re.compile(r"0x[0-9a-f]+|\d+|/tmp/\S+")

#: The test in which a fault was met first.
_first: dict[tuple[str, int, str], str] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Replace the report of a fault that was shown already by one line.

    Faults of fixtures and helpers, which many tests share, are compared; a test's own are its own.
    """
    if not report.failed or "PYTEST_XDIST_WORKER" in os.environ:
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    if not isinstance(crash, ReprFileLocation):
        return
    own = Path(crash.path).name == Path(report.location[0]).name
    if own and report.when == "call":
        return
    fault = (crash.path, crash.lineno, _CHANGES.sub("…", crash.message))
    first = _first.setdefault(fault, report.nodeid)
    if first != report.nodeid:
        begin = crash.message.partition("\n")[0]
        report.longrepr = f"The same failure as in {plain_id(first)}: {begin}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to run each failed test again; those with a fault of another test are left out."""
    reports = [
        report
        for kind in ("failed", "error")
        for report in terminalreporter.getreports(kind)
        if not str(report.longrepr).startswith("The same failure as in ")
    ]
    names = list(dict.fromkeys(plain_id(report.nodeid) for report in reports))
    if not names:
        return
    terminalreporter.section("to run a failed test again")
    for name in names[:_MOST_COMMANDS]:
        terminalreporter.write_line(f".venv/bin/python -m pytest {shlex.quote(name)}")
    if len(names) > _MOST_COMMANDS:
        terminalreporter.write_line(f"… and {len(names) - _MOST_COMMANDS} others")


def plain_id(nodeid: str) -> str:
    """A test's id without the group that `--dist loadgroup` puts behind it."""
    return re.sub(r"(?<=[\w\]])@[\w-]+$", "", nodeid)


def parse_one_source_at_a_time() -> None:
    """Let nothing parse during `ast.parse`: before Python 3.11.8 that is a SystemError (gh-106905).

    pytest parses what it shows. If a failed task is garbage-collected meanwhile, asyncio logs its
    traceback, and `traceback` parses too. Then pytest ends with an INTERNALERROR.
    """
    if sys.version_info >= (3, 11, 8):
        return
    plain, lock = ast.parse, threading.RLock()

    @functools.wraps(plain)
    def parse(*args: Any, **options: Any) -> Any:
        with lock:
            collects = gc.isenabled()
            gc.disable()
            try:
                return plain(*args, **options)
            finally:
                if collects:
                    gc.enable()

    ast.parse = parse
