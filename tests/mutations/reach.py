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
import hashlib
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
from .mutant import PACKAGE, ROOT, Function, Mutant, functions_of, source_of

#: Where a local variable `script` is one that Redis is about to run.
_CALLS_SCRIPTS: Final = "stores/redis/database.py"
#: So many calls of a test are traced. One that makes more repeats itself, and is slow to trace.
_TRACED_CALLS: Final = 200_000
#: A test that works or waits for longer is not one of those that look for mutants. The second limit
#: is wide: on a busy machine everything waits.
_MOST_WORK: Final = 4.0
_LONGEST: Final = 60.0


@dataclass
class Run:
    """One test, once.

    Attributes:
        seconds: how long it took, traced.
        work: of it, the processor's time.
        lines: of the product, by file: bit n is line n.
        scripts: names of those that it ran in Redis.
        trouble: why it cannot be used; it failed, for example.
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
    """What is recorded."""

    def __init__(self, files: dict[str, Recorded]) -> None:
        self.files = files
        self._recorded: set[str] = set()

    @classmethod
    def load(cls, path: Path) -> tuple[Reach, str]:
        """What is kept, and a sentence if that is damaged."""
        try:
            files = pickle.loads(path.read_bytes())
            assert all(isinstance(each, Recorded) for each in files.values()), "other values"
        except FileNotFoundError:
            return cls({}), ""
        except Exception as error:  # noqa: BLE001 - damaged pickles raise anything
            return cls({}), aside(path, error)
        return cls(files), ""

    def save(self, path: Path) -> None:
        """Write it, beside what other runs have recorded meanwhile."""
        with locked(path):
            kept, _ = Reach.load(path)
            write(path, pickle.dumps(kept.files | {n: self.files[n] for n in self._recorded}))

    def record(self, name: str, recorded: Recorded) -> None:
        """Take the record of a file of tests in."""
        self.files[name] = recorded
        self._recorded.add(name)

    def stale(self, tests: Iterable[str]) -> list[str]:
        """Those files of tests that are not recorded as they are now."""
        return [name for name in tests if not self._is_known(name)]

    def failed(self, files: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The tests of files that failed when they were recorded, and how."""
        for name in files:
            for test, run in self.files[name].runs.items() if name in self.files else ():
                if run.trouble not in ("", "skipped"):
                    yield test, run.trouble

    def runs(self) -> dict[str, Run]:
        """All tests that can be used."""
        return {
            name: run
            for file in self.files.values()
            for name, run in file.runs.items()
            if run.usable
        }

    def tests_of(self, mutant: Mutant) -> dict[str, Run]:
        """The tests that run the changed statement."""
        if mutant.path.endswith(".lua"):
            return {n: run for n, run in self.runs().items() if _runs(run, mutant)}
        found = {}
        digest = digest_of(mutant.path)
        function = _function_lines(mutant)
        own = mask(mutant.lines) or function
        for file in self.files.values():
            fresh = file.product.get(mutant.path) == digest
            for name, run in file.runs.items():
                hit = run.lines.get(mutant.path, 0)
                known = file.names.get(mutant.path, {}).get(mutant.function, 0)
                if run.usable and hit & (own if fresh else known):
                    found[name] = run
        return found

    def rooms_files(self, paths: Iterable[str]) -> set[str]:
        """The files of tests that run something of these files of the product."""
        wanted = set(paths)
        return {
            name
            for name, file in self.files.items()
            if any(run.usable and wanted & set(run.lines) for run in file.runs.values())
        }

    def _is_known(self, name: str) -> bool:
        file = self.files.get(name)
        return file is not None and file.digest == digest_of_test(name)


def mask(lines: Iterable[int]) -> int:
    """Lines as bits of a number."""
    return functools.reduce(lambda bits, line: bits | 1 << line, lines, 0)


def _function_lines(mutant: Mutant) -> int:
    function = next(each for each in functions_of(mutant.path) if each.line == mutant.line)
    return _body(function)


def _body(function: Function) -> int:
    return mask(range(function.node.body[0].lineno, function.last + 1))


@functools.cache
def product_now() -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """The digests of the product's files, and the lines of their functions."""
    paths = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
    names = {path: {each.name: _body(each) for each in functions_of(path)} for path in paths}
    return {path: digest_of(path) for path in paths}, names


def _runs(run: Run, mutant: Mutant) -> bool:
    return not run.scripts.isdisjoint(scripts_with(mutant.function))


def scripts_with(name: str) -> set[str]:
    """The scripts that a file of Lua is part of."""
    folder = PACKAGE / "stores" / "redis" / "lua"
    texts = {path.stem: path.read_text() for path in folder.glob("*.lua")}
    found = {name}
    while (
        more := {
            stem for stem, text in texts.items() for each in found if f"include {each}.lua" in text
        }
        - found
    ):
        found |= more
    return found


def digest_of(path: str) -> str:
    """Of a file of the product, as it was when this process began."""
    return hashlib.sha256(source_of(path)).hexdigest()[:16]


@functools.cache
def digest_of_test(name: str) -> str:
    """Of a file of tests, as it is when it is first asked for; "" where there is none."""
    try:
        return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()[:16]
    except FileNotFoundError:
        return ""


class Tracer:
    """Notes the lines of the product that run."""

    def __init__(self) -> None:
        self._prefix = f"{PACKAGE}/"
        self._lines: dict[str, set[int]] = {}
        self._scripts: set[str] = set()
        self._locals: dict[str, Any] = {}
        self._left = 0

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Note what runs meanwhile, in all threads that begin meanwhile."""
        for lines in self._lines.values():
            lines.clear()
        self._scripts.clear()
        self._left = _TRACED_CALLS
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def seen(self) -> tuple[dict[str, int], frozenset[str]]:
        """The lines by file, and the names of scripts."""
        at = len(self._prefix)
        lines = {name[at:]: mask(own) for name, own in self._lines.items() if own}
        return lines, frozenset(self._scripts)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        try:
            local = self._locals[name]
        except KeyError:
            local = self._locals[name] = self._local(name)
        if local is None:
            return None
        self._left -= 1
        if self._left < 0:
            sys.settrace(None)
            return None
        if name.endswith(_CALLS_SCRIPTS):
            script = frame.f_locals.get("script")
            if script is not None:
                self._scripts.add(getattr(script, "name", ""))
        return local

    def _local(self, name: str) -> Any:
        if not name.startswith(self._prefix):
            return None
        note = self._lines.setdefault(name, set()).add

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            note(frame.f_lineno)
            return local

        return local
