"""Which tests run which lines of the product, and how long they take.

1. It is recorded by running every quick test once, in a process of its own, with a trace of the
   lines of the product. What a test starts in other processes is not seen.
2. The record is kept in `mutants/reach.pickle`, a file of tests at a time. A file of tests that has
   changed since is recorded anew.
3. Where a file of the product has changed since, its lines are not what they were: then a test
   reaches a function when it reached one of that name.
"""

from __future__ import annotations

import functools
import pickle
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from .files import aside, locked, write
from .mutant import PACKAGE, ROOT, Mutant, digest, files, function_of, functions_of, source_of

#: Where a local variable `script` is one that Redis is about to run.
_CALLS_SCRIPTS: Final = "stores/redis/client/database.py"
#: So many calls of a test are traced. One that makes more repeats itself, and is slow to trace.
_TRACED_CALLS: Final = 200_000
#: A test that works or waits for longer is not one of those that look for mutants. The second limit
#: is wide: on a busy machine everything waits.
_MOST_WORK: Final = 6.0
_LONGEST: Final = 60.0


@dataclass
class Run:
    """One test, once.

    Attributes:
        seconds: how long it took, traced.
        lines: of the product, by file: bit n is line n.
        scripts: names of those that it ran in Redis.
        trouble: why it cannot be used; it failed, for example.
        work: of the seconds, the processor's time.
    """

    seconds: float = 0.0
    lines: dict[str, int] = field(default_factory=dict)
    scripts: frozenset[str] = frozenset()
    trouble: str = ""
    work: float = 0.0

    @property
    def usable(self) -> bool:
        quick = self.work <= _MOST_WORK and self.seconds <= _LONGEST
        return not self.trouble and quick and bool(self.lines)

    @property
    def cost(self) -> float:
        """Seconds, of which those that were only waited through count little."""
        return self.work + (self.seconds - self.work) / 10


@dataclass
class Recorded:
    """The tests of one file.

    Attributes:
        digest: of the file's text.
        product: digests of the product's files at that time.
        names: the lines of their functions then.
        runs: by the test's id.
    """

    digest: str
    product: dict[str, str]
    names: dict[str, dict[str, int]]
    runs: dict[str, Run] = field(default_factory=dict)


class Reach:
    """What is recorded. `trouble` is a sentence if the file was damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: dict[str, Recorded] = {}
        self.trouble = ""
        self.files: dict[str, Recorded] = {}
        try:
            kept = pickle.loads(path.read_bytes())
            assert all(isinstance(each, Recorded) for each in kept.values()), "other values"
            self.files = kept
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 - damaged pickles raise anything
            self.trouble = aside(path, error)

    def record(self, name: str, recorded: Recorded) -> None:
        """Take the record of a file of tests in."""
        self.files[name] = self._new[name] = recorded

    def save(self) -> None:
        """Write what is new, beside what other runs have recorded meanwhile."""
        with locked(self._path):
            write(self._path, pickle.dumps(Reach(self._path).files | self._new))

    def stale(self, tests: Iterable[str]) -> list[str]:
        """Those files of tests that are not recorded as they are now."""
        known = {name: each.digest for name, each in self.files.items()}
        return [name for name in tests if known.get(name) != digest_of_test(name)]

    def failed(self, names: Iterable[str]) -> dict[str, str]:
        """The tests of files that failed when they were recorded, and how."""
        recorded = (self.files[name] for name in names if name in self.files)
        runs = (item for file in recorded for item in file.runs.items())
        return {test: run.trouble for test, run in runs if run.trouble not in ("", "skipped")}

    def tests_of(self, mutant: Mutant) -> dict[str, Run]:
        """The tests that run the changed statement."""
        return {
            name: run
            for file in self.files.values()
            for name, run in file.runs.items()
            if run.usable and _runs(file, run, mutant)
        }

    def files_for(self, paths: set[str]) -> set[str]:
        """The files of tests that run something of these files of the product."""
        return {
            name
            for name, file in self.files.items()
            if any(run.usable and not paths.isdisjoint(run.lines) for run in file.runs.values())
        }


def _runs(file: Recorded, run: Run, mutant: Mutant) -> bool:
    path = mutant.path
    if path.endswith(".lua"):
        return not run.scripts.isdisjoint(scripts_with(mutant.function))
    if file.product.get(path) == product_now()[0][path]:
        own = mask(mutant.lines or function_of(mutant).body)
    else:
        own = file.names.get(path, {}).get(mutant.function, 0)
    return bool(run.lines.get(path, 0) & own)


def mask(lines: Iterable[int]) -> int:
    """Lines as bits of a number."""
    return functools.reduce(lambda bits, line: bits | 1 << line, lines, 0)


@functools.cache
def product_now() -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """The digests of the product's files, and the lines of their functions."""
    names = {path: {each.name: mask(each.body) for each in functions_of(path)} for path in files()}
    return {path: digest(source_of(path)) for path in names}, names


@functools.cache
def scripts_with(name: str) -> frozenset[str]:
    """The scripts that a file of Lua is part of."""
    paths = PACKAGE.glob("stores/redis/lua/*.lua")
    line = f"\n-- include {name}.lua\n"
    return frozenset({name, *(path.stem for path in paths if line in path.read_text())})


@functools.cache
def digest_of_test(name: str) -> str:
    """Of a file of tests, as it is when it is first asked for; "" where there is none."""
    path = ROOT / name
    return digest(path.read_bytes()) if path.is_file() else ""


@contextmanager
def traced(run: Run) -> Iterator[None]:
    """Note the lines of the product and the scripts that run meanwhile, in new threads as well."""
    prefix = f"{PACKAGE}/"
    lines: dict[str, set[int]] = {}
    scripts: set[str] = set()
    tracers: dict[str, Any] = {}  # by file: what is made once costs little
    left = _TRACED_CALLS

    def tracer(name: str) -> Any:
        if not name.startswith(prefix):
            return None
        note = lines.setdefault(name.removeprefix(prefix), set()).add

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            note(frame.f_lineno)
            return local

        return local

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        name = frame.f_code.co_filename
        try:
            local = tracers[name]
        except KeyError:
            local = tracers[name] = tracer(name)
        if local is None:
            return None
        left -= 1
        if left < 0:
            sys.settrace(None)
            return None
        if name.endswith(_CALLS_SCRIPTS) and "script" in frame.f_locals:
            scripts.add(getattr(frame.f_locals["script"], "name", ""))
        return local

    threading.settrace(call)
    sys.settrace(call)
    try:
        yield
    finally:
        sys.settrace(None)
        threading.settrace(None)
        run.lines = {name: mask(own) for name, own in lines.items() if own}
        run.scripts = frozenset(scripts)
