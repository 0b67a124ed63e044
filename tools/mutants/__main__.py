"""`make mutants`: change the product, one place at a time, and see whether a test fails."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

import durable_llm_streams
from hatch_build import BuildError

from . import stryker
from .by_hand import Gone, mutant_of
from .files import KEPT
from .generating import MISSING, available, generate
from .generating_lua import generate_lua
from .mutant import PACKAGE, ROOMS, ROOT, Mutant, files, room_of
from .reach import Reach
from .report import Damaged, Report
from .session import Session
from .slips import SLIPS
from .slips_in_lua import IN_LUA
from .slips_in_stores import IN_REDIS, IN_SQLITE
from .verdicts import Verdicts

ALL_SLIPS: Final = (*SLIPS, *IN_SQLITE, *IN_REDIS, *IN_LUA)

#: Tests that look for no mutant: other processes, browsers, campaigns, the project itself.
LEFT_OUT: Final = re.compile(
    "tests/(browser|crash|fuzz)/|_kill|bench|web_|chromium|mutants|project|promises|distributions"
    "|deploy|tcp_proxy|ai_sdk|cluster"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        0 when everything was caught, 1 when something survived, 2 when it could not run.
    """
    options = _options(arguments)
    try:
        mutants = list(_mutants(options))
        if options.list:
            print("\n".join(mutant.key for mutant in mutants))
            return 0
        report = Report(_say)
        if mutants:
            with tempfile.TemporaryDirectory(prefix="dls-mutants-") as name:
                Path(name).chmod(0o755)  # some tests start processes of another user
                _Run(options, mutants, report, Path(name)).run()
        for room in options.room:
            chosen = stryker.files_of(room, options.function) if room in stryker.ROOMS else []
            if chosen and not options.by_hand:
                for key, outcome in stryker.judge(room, chosen):
                    report.add(room, key, outcome)
    except KeyboardInterrupt:
        _say("Interrupted. The next run goes on from here.")
        return 130
    except (BuildError, CannotRun, Damaged, stryker.ToolFailed) as error:
        print(error, file=sys.stderr)
        return 2
    report.end()
    if options.keep:
        report.keep(options.command)
    return int(any(report.survivors.values()))


class CannotRun(Exception):
    """The mutants cannot be judged; the text says why."""


_out = sys.stdout


def _say(line: str) -> None:
    print(line, file=_out, flush=True)


class _Run:
    """Judges mutants of Python and Lua with a session of pytest."""

    def __init__(
        self, options: argparse.Namespace, mutants: list[Mutant], report: Report, folder: Path
    ) -> None:
        self._options = options
        self._mutants = mutants
        self._report = report
        self._folder = folder
        self._reach = Reach(KEPT / "reach.pickle")
        self._verdicts = Verdicts(KEPT / "verdicts.jsonl")
        for sentence in filter(None, (self._reach.trouble, self._verdicts.trouble)):
            _say(sentence)
        tests = _files_of_tests()
        only = options.tests or [""]
        self._stale = [
            name for name in self._reach.stale(tests) if any(part in name for part in only)
        ]
        wanted = self._reach.files_for({mutant.path for mutant in mutants})
        self._files = sorted(wanted.intersection(tests) | set(self._stale))

    def run(self) -> None:
        """Judge all.

        Raises:
            CannotRun: the tests cannot be collected.
        """
        _say(f"{len(self._mutants)} mutants. {len(self._files)} files of tests are collected.")
        options = self._options
        session = Session(self._work, self._folder, options.jobs, _say, options.budget)
        log = self._folder / "pytest.log"
        with _quiet(log):
            status = pytest.main(
                ["-q", "-x", "--capture=sys", "-p", "no:cacheprovider", *self._files],
                plugins=[session],
            )
        if session.error is not None:
            raise session.error
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise CannotRun(f"The tests could not be collected:\n{log.read_text()[-3000:]}")

    def _work(self, session: Session) -> None:
        if self._stale:
            _say(f"{len(self._stale)} files of tests are run once, to record what they reach.")
            session.record(self._reach, self._stale)
            for test, why in self._reach.failed(self._stale).items():
                _say(f"left out, it fails without a mutant: {test}: {why}")
        pending = []
        for mutant in self._mutants:
            known = self._verdicts.of(mutant, session.reaching(mutant, self._reach))
            if known is None or self._options.again:
                pending.append(mutant)
            else:
                session.learn(mutant, known)
                self._report.add(mutant.room, mutant.key, known.outcome, mutant.name)
        _say(f"{len(self._mutants) - len(pending)} verdicts are known, {len(pending)} are to come.")
        for mutant, verdict in session.judge(pending, self._reach):
            self._verdicts.keep(mutant, verdict)
            self._report.add(mutant.room, mutant.key, verdict.outcome, mutant.name)


def _mutants(options: argparse.Namespace) -> Iterator[Mutant]:
    """The mutants of Python and Lua that are asked for.

    Raises:
        CannotRun: what is needed to make or to judge them is not there.
    """
    rooms = [room for room in options.room if room in ROOMS]
    if rooms and not options.by_hand and not available():
        raise CannotRun(MISSING)
    if rooms and Path(durable_llm_streams.__file__).parent != PACKAGE:
        raise CannotRun(f"Python takes the package from {durable_llm_streams.__file__}.")
    written = []
    for slip in ALL_SLIPS:
        try:
            written.append(mutant_of(slip))
        except Gone as error:
            print(error)
    for room in rooms:
        own = [each for each in written if each.room == room]
        made: list[Mutant] = []
        if not options.by_hand:
            made = [each for path in files() if room_of(path) == room for each in generate(path)]
            made += generate_lua() if room == "redis" else []
        if options.function:
            name = options.function
            both = [*own, *made]
            yield from (each for each in both if f"{each.address}.".startswith(f"{name}."))
        else:
            yield from own
            yield from made if options.all else _sample(made, options.sample, options.seed)


def _sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """So many of them: the same ones as long as their functions stay as they are."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.key}".encode()).digest()

    chosen = {mutant.key for mutant in sorted(mutants, key=rank)[:count]}
    return [mutant for mutant in mutants if mutant.key in chosen]


def _files_of_tests() -> list[str]:
    paths = (path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
    return sorted(path for path in paths if not LEFT_OUT.search(path))


@contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Let what pytest and the tests print go into a file; `_say` prints on."""
    global _out
    kept = os.dup(1), os.dup(2)
    with os.fdopen(os.dup(1), "w") as _out, log.open("wb") as file:
        try:
            for standard in (1, 2):
                os.dup2(file.fileno(), standard)
            yield
        finally:
            sys.stdout.flush()
            for standard, own in zip((1, 2), kept, strict=True):
                os.dup2(own, standard)
                os.close(own)
            _out = sys.stdout


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants",
        description="Change the product and see whether a test fails.",
        epilog="transport and state are the page's: Stryker judges all their mutants.",
    )
    rooms = (*ROOMS, *stryker.ROOMS)
    add = parser.add_argument
    add("--room", action="append", choices=rooms, help="only this room (default: all of them)")
    add(
        "--function",
        metavar="NAME",
        help="only this function, class or file: log.reader.follow, state.cut",
    )
    add("--sample", type=int, default=200, metavar="N", help="so many of a room (default 200)")
    add("--seed", type=int, default=1, help="which ones (default 1)")
    add("--all", action="store_true", help="every mutant")
    add("--by-hand", action="store_true", help="only those that were written by hand")
    add("--budget", type=float, default=120.0, help="seconds of tests for a mutant (default 120)")
    add("--jobs", type=int, default=2, help="mutants at a time (default 2)")
    add("--tests", action="append", metavar="TEXT", help="record no other tests than these")
    add("--again", action="store_true", help="judge anew what is known")
    add("--keep", action="store_true", help="write results.json")
    add("--list", action="store_true", help="name the mutants of Python and Lua, and run nothing")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    if options.keep and (options.function or options.by_hand):
        parser.error("--keep is for whole rooms, not with --function or --by-hand")
    options.room = options.room or rooms
    options.command = f'make mutants ARGS="{" ".join(given)}"' if given else "make mutants"
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left over
    sys.exit(main())
