"""A forked process of the tests: it records them, or runs them on one mutant.

1. The parent has collected the tests, and has no thread and no event loop. A child begins where it
   stands, so that nothing is imported or collected anew.
2. A child says each test that it begins, so that the parent knows which one hangs.
3. The first test that fails ends the child at once, in the middle of everything. What its tests
   have started dies with it (`tests.children`), and its folder is removed by the parent.
4. Nothing that a child does is left over: its temporary files are in its folder, its output goes
   nowhere, its memory is bounded.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from tests.children import die_with_parent

from .installing import Functions, NotInstalled
from .mutant import Mutant
from .reach import Recorded, Run, Tracer, digest_of_test, product_now

#: How much memory a child may take beyond what it begins with.
_MEMORY: Final = 3 << 30
_HOW: Final = 200


class Child:
    """A process that has been forked, as its parent sees it.

    Attributes:
        pid: of the process.
        folder: what it may write into.
        reading: where its messages come from.
    """

    def __init__(self, folder: Path, work: Callable[[Pipe], None]) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.reading, writing = os.pipe()
        self._received = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.reading)
            _live(folder, Pipe(writing), work)
        os.close(writing)
        os.set_blocking(self.reading, False)

    def messages(self) -> tuple[list[list[Any]], bool]:
        """What has arrived, and whether nothing more will come."""
        ended = False
        while not ended:
            try:
                data = os.read(self.reading, 1 << 16)
            except BlockingIOError:
                break
            self._received += data
            ended = not data
        *lines, self._received = self._received.split(b"\n")
        return [json.loads(line) for line in lines], ended

    def end(self) -> int:
        """Kill it with all that it has started, and wait for it.

        Returns:
            How it ended: as `os.waitstatus_to_exitcode` says it.
        """
        for pid in (*descendants(self.pid), self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _, status = os.waitpid(self.pid, 0)
        os.close(self.reading)
        return os.waitstatus_to_exitcode(status)


class Pipe:
    """What a child says to its parent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, *message: Any) -> None:
        """Send a message. A parent that is gone is no news."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


class Watcher:
    """The plugin of pytest that sees what becomes of a test."""

    def __init__(self) -> None:
        self.failed: Callable[[str, str], None] | None = None
        self.skipped = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure, be it of the test or of what is set up around it."""
        if report.failed and self.failed is not None:
            self.failed(report.nodeid, _why(report))
        self.skipped |= report.skipped and not hasattr(report, "wasxfail")


def judge(
    mutant: Mutant,
    functions: Functions,
    items: Sequence[pytest.Item],
    watcher: Watcher,
    redis: int | None,
) -> Callable[[Pipe], None]:
    """The work of a child that runs tests on a mutant."""

    def work(pipe: Pipe) -> None:
        def failed(name: str, how: str) -> None:
            pipe.say("caught", name, how)
            os._exit(0)

        if redis is not None:
            flush(redis)
        try:
            functions.install(mutant)
        except NotInstalled as error:
            pipe.say("unfit", str(error))
            return
        watcher.failed = failed
        for at, item in enumerate(items):
            pipe.say("begin", at)
            run_item(item, items[at + 1] if at + 1 < len(items) else None)
        pipe.say("survived")

    return work


def record(items: Sequence[pytest.Item], watcher: Watcher, kept: Path) -> Callable[[Pipe], None]:
    """The work of a child that records tests, those of a file after those of another.

    The record of each file is pickled into the folder `kept`, and the parent is told.
    """

    def work(pipe: Pipe) -> None:
        product, names = product_now()
        trouble = ""

        def failed(name: str, how: str) -> None:
            nonlocal trouble
            trouble = how

        watcher.failed = failed
        tracer = Tracer()
        recorded = Recorded("", {}, {})
        for at, item in enumerate(items):
            pipe.say("begin", at)
            trouble, watcher.skipped = "", False
            began, worked = time.perf_counter(), time.process_time()
            with tracer.tracing():
                run_item(item, items[at + 1] if at + 1 < len(items) else None)
            seconds, work_done = time.perf_counter() - began, time.process_time() - worked
            lines, ran = tracer.seen()
            if at == 0 or file_of(items[at - 1]) != file_of(item):
                recorded = Recorded(digest_of_test(file_of(item)), product, names)
            why = trouble or ("skipped" if watcher.skipped else "")
            recorded.runs[item.nodeid] = Run(seconds, lines, ran, why, work_done)
            if at + 1 == len(items) or file_of(items[at + 1]) != file_of(item):
                (kept / f"{at}.pickle").write_bytes(pickle.dumps(recorded))
                pipe.say("recorded", file_of(item), str(kept / f"{at}.pickle"))

    return work


def run_item(item: pytest.Item, following: pytest.Item | None) -> None:
    """Run one test as pytest does."""
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


def file_of(item: pytest.Item) -> str:
    """The file of a test, as its id has it."""
    return item.nodeid.partition("::")[0]


def flush(port: int) -> None:
    """Empty a Redis server."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        connection.recv(64)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and theirs, where the kernel tells."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            own = [int(each) for each in tasks.read_text().split()]
        except OSError:
            continue
        for each in own:
            found += [*descendants(each), each]
    return found


def _live(folder: Path, pipe: Pipe, work: Callable[[Pipe], None]) -> NoReturn:
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
    except BaseException:  # noqa: BLE001 - the parent tells of it
        pipe.say("broken", "".join(traceback.format_exception(*sys.exc_info()))[-2000:])
    finally:
        os._exit(status)


def _why(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else str(crash.message)
    return f"{report.when}: {text.strip()}".splitlines()[0][:_HOW]
