"""`make mutants`: change the product, one place at a time, and see whether a test fails."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import durable_llm_streams

from .by_hand import by_hand
from .files import KEPT
from .generating import MISSING, available, generate
from .generating_lua import generate_lua
from .mutant import PACKAGE, ROOMS, ROOT, Mutant, files_of
from .reach import Reach
from .report import Report, keep
from .session import Budget, Session
from .slips import SLIPS
from .slips_in_lua import IN_LUA
from .slips_in_stores import IN_REDIS, IN_SQLITE
from .verdicts import Verdicts

#: What no mutant is looked for with: other processes, browsers, and whole campaigns.
LEFT_OUT = (
    "tests/browser/",
    "tests/crash/",
    "tests/mutations/",
    "tests/typing/",
    "tests/fuzz/",
    "tests/deploy/",
    "tests/bench/",
    "tests/web/",
)
LEFT_OUT_NAMES = (
    "_kill",
    "bench",
    "web_",
    "chromium",
    "project",
    "promises",
    "deploy",
    "tcp_proxy",
    "nginx",
    "ai_sdk",
    "cluster",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        0 when it has ran to the end, whatever was found; 2 when it could not.
    """
    options = _options(arguments)
    if not available():
        print(MISSING, file=sys.stderr)
        return 2
    if Path(durable_llm_streams.__file__).parent != PACKAGE:
        print(f"Python takes the package from {durable_llm_streams.__file__}.", file=sys.stderr)
        return 2
    found, gone = _mutants(options)
    for sentence in gone:
        print(sentence)
    if options.list:
        print("\n".join(mutant.key for mutant in found))
        return 0
    with tempfile.TemporaryDirectory(prefix="dls-mutants-") as name:
        Path(name).chmod(0o755)  # some tests begin processes of another user
        return _Run(options, found, Path(name)).run()


class _Run:
    def __init__(self, options: argparse.Namespace, mutants: list[Mutant], folder: Path) -> None:
        self._options = options
        self._mutants = mutants
        self._folder = folder
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        self._reach, trouble = Reach.load(KEPT / "reach.pickle")
        self._verdicts = Verdicts(KEPT / "verdicts.jsonl")
        for sentence in filter(None, (trouble, self._verdicts.trouble)):
            self._say(sentence)
        self._status = 0
        self._stale: list[str] = []

    def _say(self, line: str) -> None:
        print(line, file=self._out)

    def run(self) -> int:
        os.environ["DLS_MUTANTS"] = "1"
        tests = _files_of_tests()
        options = self._options
        stale = self._reach.stale(tests)
        wanted = self._reach.rooms_files({mutant.path for mutant in self._mutants})
        if options.tests:
            stale = [name for name in stale if any(part in name for part in options.tests)]
        files = sorted(wanted.intersection(tests) | set(stale))
        self._say(f"{len(self._mutants)} mutants. {len(files)} files of tests are collected.")
        session = Session(self._work, self._folder, self._options.jobs, self._say)
        self._stale = stale
        log = self._folder / "pytest.log"
        status = _quietly(log, ["-q", "-x", "-p", "no:cacheprovider", *files], session)
        if isinstance(session.error, KeyboardInterrupt):
            self._say("Interrupted. The next run goes on from here.")
            return 130
        if session.error is not None:
            raise session.error
        if status not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            self._say(f"The tests could not be collected:\n{log.read_text()[-3000:]}")
            return 2
        return self._status

    def _work(self, session: Session) -> None:
        if self._stale:
            self._say(f"{len(self._stale)} files of tests are run once, to record what they reach.")
            path = KEPT / "reach.pickle"
            session.record(self._reach, self._stale, lambda: self._reach.save(path))
            for test, why in self._reach.failed(self._stale):
                self._say(f"left out, it fails without a mutant: {test}: {why}")
        report = Report(self._say)
        budget = Budget(self._options.budget)
        pending = []
        for mutant in self._mutants:
            tests = session.reaching(mutant, self._reach)
            known = None if self._options.again else self._verdicts.of(mutant, tests)
            if known is not None:
                session.learn(mutant, known)
                report.add(mutant, known)
            else:
                pending.append(mutant)
        self._say(
            f"{len(self._mutants) - len(pending)} verdicts are known, {len(pending)} are to come."
        )
        for mutant, verdict in session.judge(pending, self._reach, budget):
            self._verdicts.keep(mutant, verdict)
            report.add(mutant, verdict)
        report.end()
        if self._options.keep:
            keep(report, self._options.command)


def _mutants(options: argparse.Namespace) -> tuple[list[Mutant], list[str]]:
    written, gone = by_hand([*SLIPS, *IN_SQLITE, *IN_REDIS, *IN_LUA])
    rooms = options.room or list(ROOMS)
    found: list[Mutant] = []
    for room in rooms:
        own = [each for each in written if each.room == room]
        made: list[Mutant] = []
        if not options.by_hand:
            made = [mutant for path in files_of(room) for mutant in generate(path)]
            made += generate_lua() if room == "redis" else []
        if options.function:
            own, made = ([m for m in lot if _is_in(m, options.function)] for lot in (own, made))
        elif not options.all:
            made = _sample(made, options.sample, options.seed)
        found += [*own, *made]
    return found, gone


def _is_in(mutant: Mutant, name: str) -> bool:
    return mutant.address == name or mutant.address.startswith(f"{name}.")


def _sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """So many of them: the same ones as long as their functions stay as they are."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.key}".encode()).digest()

    chosen = {mutant.key for mutant in sorted(mutants, key=rank)[:count]}
    return [mutant for mutant in mutants if mutant.key in chosen]


def _files_of_tests() -> list[str]:
    names = (path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
    return sorted(
        name
        for name in names
        if not name.startswith(LEFT_OUT)
        and not any(part in name.rpartition("/")[2] for part in LEFT_OUT_NAMES)
    )


def _quietly(log: Path, arguments: list[str], session: Session) -> int:
    """Run pytest. What it says goes into a file."""
    kept = os.dup(1), os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        return int(pytest.main(["--capture=sys", *arguments], plugins=[session]))
    finally:
        sys.stdout.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants", description="Change the product and see whether a test fails."
    )
    add = parser.add_argument
    add("--room", action="append", choices=ROOMS, help="only this room (default: all of them)")
    add("--function", metavar="NAME", help="only this one, such as log.reader.follow")
    add("--sample", type=int, default=200, metavar="N", help="so many of a room (default 200)")
    add("--seed", type=int, default=1, help="which ones (default 1)")
    add("--all", action="store_true", help="every mutant")
    add("--by-hand", action="store_true", help="only those that were written by hand")
    add("--budget", type=float, default=120.0, help="seconds of tests for a mutant (default 120)")
    add("--jobs", type=int, default=2, help="mutants at a time (default 2)")
    add("--tests", action="append", metavar="TEXT", help="record no other tests than these")
    add("--again", action="store_true", help="judge anew what is known")
    add("--keep", action="store_true", help="write results.json")
    add("--list", action="store_true", help="name the mutants, and run nothing")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    options.command = " ".join(
        ["make mutants", f'ARGS="{" ".join(given)}"'] if given else ["make mutants"]
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
