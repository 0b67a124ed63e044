"""A forked process of the tests: it records them, or runs them on one mutant.

1. The parent has collected the tests, and has no thread and no event loop. A child begins where it
   stands, so that nothing is imported or collected anew.
2. A child sends the number of each test that it begins, so that the parent can see which one hangs.
3. The first test that fails ends the child at once, in the middle of everything. What its tests
   have started dies with it (`tests.children`), and its folder is removed by the parent.
4. Nothing that a child does is left over: its temporary files are in its folder, its output goes
   nowhere, its memory is bounded.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from tests.children import die_with_parent

from .installing import Functions, NotInstalled
from .mutant import Mutant
from .reach import Recorded, Run, digest_of_test, product_now, traced

#: How much memory a child may take beyond what it begins with.
_MEMORY: Final = 3 << 30
_LONGEST_REASON: Final = 200

#: What a child does with the tests that it is given. It sends tuples, the first item says which.
Work = Callable[[Connection], None]


class Child:
    """A process that has been forked, as its parent sees it.

    Attributes:
        reading: where its messages come from.
    """

    def __init__(self, folder: Path, work: Work) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self.reading, writing = Pipe(duplex=False)
        self._pid = os.fork()
        if self._pid == 0:
            self.reading.close()
            _live(folder, writing, work)
        writing.close()

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """What has arrived; `("ended",)` when nothing more will come."""
        try:
            while self.reading.poll():
                yield self.reading.recv()
        except (EOFError, OSError):
            yield ("ended",)

    def end(self) -> None:
        """Kill it with all that it has started, wait for it, and remove its folder."""
        for pid in (*_descendants(self._pid), self._pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self.reading.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Watcher:
    """The plugin of pytest that sees what becomes of a test."""

    def __init__(self) -> None:
        self.failed: Callable[[str, str], None] | None = None
        self.skipped = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure, be it of the test or of what is set up around it."""
        if report.failed and self.failed is not None:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = str(report.longrepr) if crash is None else str(crash.message)
            why = f"{report.when}: {text.strip()}".splitlines()[0]
            self.failed(report.nodeid, why[:_LONGEST_REASON])
        self.skipped |= report.skipped and not hasattr(report, "wasxfail")


def judge(
    mutant: Mutant,
    functions: Functions,
    items: Sequence[pytest.Item],
    watcher: Watcher,
    redis: int | None,
) -> Work:
    """Run tests on a mutant, with the Redis server at a port."""

    def work(pipe: Connection) -> None:
        def failed(name: str, how: str) -> None:
            pipe.send(("caught", name, how))
            os._exit(0)

        if redis is not None:
            _flush(redis)
        try:
            functions.install(mutant)
        except NotInstalled as error:
            pipe.send(("unfit", "", str(error)))
            return
        watcher.failed = failed
        for at, item in enumerate(items):
            pipe.send(("begin", at))
            _run(item, items[at + 1 : at + 2])
        pipe.send(("survived",))

    return work


def record(items: Sequence[pytest.Item], watcher: Watcher) -> Work:
    """Record the tests of a file."""

    def work(pipe: Connection) -> None:
        recorded = Recorded(digest_of_test(file_of(items[0])), *product_now())
        for at, item in enumerate(items):
            pipe.send(("begin", at))
            run = recorded.runs[item.nodeid] = Run()
            watcher.skipped = False
            watcher.failed = lambda _, how, run=run: setattr(run, "trouble", how)
            began, worked = time.perf_counter(), time.process_time()
            with traced(run):
                _run(item, items[at + 1 : at + 2])
            run.seconds, run.work = time.perf_counter() - began, time.process_time() - worked
            run.trouble = run.trouble or ("skipped" if watcher.skipped else "")
        pipe.send(("recorded", recorded))

    return work


def _run(item: pytest.Item, following: Sequence[pytest.Item]) -> None:
    """Run one test as pytest does."""
    item.ihook.pytest_runtest_protocol(item=item, nextitem=next(iter(following), None))


def file_of(item: pytest.Item) -> str:
    """The file of a test, as its id has it."""
    return item.nodeid.partition("::")[0]


def _flush(port: int) -> None:
    """Empty a Redis server."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        connection.recv(64)


def _descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and theirs, where the kernel lists them."""
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for each in map(int, tasks.read_text().split()):
                yield from _descendants(each)
                yield each


def _live(folder: Path, pipe: Connection, work: Work) -> NoReturn:
    """All that a child does."""
    status = 1
    try:
        die_with_parent()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        work(pipe)
        status = 0
    except BaseException:  # noqa: BLE001 - the parent reports it
        pipe.send(("broken", "".join(traceback.format_exception(*sys.exc_info()))[-2000:]))
    finally:
        os._exit(status)
