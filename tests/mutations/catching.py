"""Looking for a defect: by the simulator first, then by the tests that are named with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tests.simulation.hunting import Report, environment

from .defect import PACKAGE, ROOT

#: Histories that one process lives through; stores take turns.
_PORTION: Final = 20
_PORTION_SECONDS: Final = 900.0
_TESTS_SECONDS: Final = 900.0
_WITNESS: Final = "tests.mutations.witness"
#: The exit status of pytest when tests have failed.
_FAILED: Final = 1


class Unsound(Exception):
    """The proof itself went wrong: nothing is known of the defect. The text says what happened."""


class Catch(Struct, frozen=True, kw_only=True):
    """How a defect was caught.

    Attributes:
        by: the simulator or a test, for people.
        promise: the promise that was seen to break; "" where a test says only that it failed.
        how: what was seen.
        seconds: from the beginning of the search.
        seed, store: of the simulator's history; None for a test.
    """

    by: str
    promise: str
    how: str
    seconds: float
    seed: int | None = None
    store: str | None = None


def see_that_it_is_used(folder: Path) -> None:
    """Raise Unsound unless processes take the package from this folder."""
    code = f"import importlib.util as i; print(i.find_spec({PACKAGE!r}).origin)"
    found = _run([sys.executable, "-c", code], folder, 60.0)
    origin = Path(found.stdout.decode().strip())
    if origin != folder / PACKAGE / "__init__.py":
        raise Unsound(f"Python takes the package from {origin}, not from {folder}.")


def by_the_simulator(folder: Path, stores: Sequence[str], seeds: int) -> Catch | None:
    """Live through histories on a package until one breaks a promise.

    Args:
        folder: where the package is.
        stores: on which; each seed on each.
        seeds: so many, from 0 on.

    Raises:
        Unsound: a process of the simulator did not come to its end.
    """
    began = time.monotonic()
    for store, first, count in _portions(stores, seeds):
        command = [sys.executable, "-m", "tests.simulation.batch", store, str(first), str(count)]
        ended = _run(command, folder, _PORTION_SECONDS)
        if ended.returncode != 0:
            raise Unsound(f"{command} ended with {ended.returncode}: {_tail(ended.stderr)}")
        for failed_on, seed, breach in msgspec.json.decode(ended.stdout, type=Report).failed:
            promise, _, how = breach.partition(": ")
            return Catch(
                by=f"the simulator, seed {seed} on {failed_on}",
                promise=promise,
                how=how.splitlines()[0],
                seconds=round(time.monotonic() - began, 1),
                seed=seed,
                store=failed_on,
            )
    return None


def by_tests(folder: Path, tests: Sequence[str]) -> Catch | None:
    """Run tests on a package until one fails.

    Raises:
        Unsound: they could not be run, or ran on another package.
    """
    if not tests:
        return None
    began = time.monotonic()
    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", _WITNESS, "--tb=line")
    ended = _run([sys.executable, "-m", "pytest", *options, *tests], folder, _TESTS_SECONDS)
    lines = ended.stdout.decode(errors="replace").splitlines()
    if ended.returncode not in (0, _FAILED):
        raise Unsound(f"pytest ended with {ended.returncode}: {_tail(ended.stdout)}")
    if ended.returncode == 0:
        if not any(" passed" in line for line in lines[-1:]):
            raise Unsound(f"No test ran: {_tail(ended.stdout)}")
        return None
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    if not failed:
        raise Unsound(f"No test failed, but something else did: {_tail(ended.stdout)}")
    name, _, how = failed[0].partition(" - ")
    seconds = round(time.monotonic() - began, 1)
    return Catch(by=name.removeprefix("tests/"), promise="", how=how, seconds=seconds)


def _portions(stores: Sequence[str], seeds: int) -> Iterator[tuple[str, int, int]]:
    for first in range(0, seeds, _PORTION):
        for store in stores:
            yield store, first, min(_PORTION, seeds - first)


def _run(
    command: Sequence[str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """A process that finds the package in a folder."""
    known = environment()
    paths = (str(folder), known["PYTHONPATH"])
    env = {**known, "PYTHONPATH": os.pathsep.join(paths), "MUTATED": str(folder)}
    try:
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unsound(f"{list(command)} did not end within {seconds:.0f} s.") from error


def _tail(output: bytes) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-15:])
