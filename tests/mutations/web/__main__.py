"""Mutates the page's engine and sees which mutants its tests catch.

python -m tests.mutations.web [--room ROOM] [--file state/cut.ts] [--keep]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hatch_build import BuildError, node_environment
from tests.node import WEB, tool

from .results import DamagedFile, Tally, keep, read_equivalents, read_report, total

HERE: Final = Path(__file__).parent
ROOMS: Final = ("transport", "state")
_SETUP: Final = ("vitest.config.js", "warm-threads.js", "fresh-page.js")


class ToolFailed(Exception):
    """Stryker could not judge the mutants; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for. Returns the exit status."""
    options = _options(arguments)
    tallies: dict[str, Tally] = {}
    try:
        equivalents = read_equivalents()
        see_same_versions()
        command = tool(HERE, "stryker")
        for room in options.room or ROOMS:
            with tempfile.TemporaryDirectory(prefix="dls-mutants-") as name:
                path = _judge(command, Path(name).resolve(), room, options.file)
                report = read_report(path, equivalents)
            print(*report.survivors, sep="\n")
            for mutant in report.needless:
                print(f"equivalent.json need not name this any more: {mutant}")
            tallies.update(report.tallies)
            if options.keep:
                keep(report.tallies, _files())
    except (BuildError, DamagedFile, ToolFailed) as error:
        print(error, file=sys.stderr)
        return 1
    for room in options.room or ROOMS:
        own = [tally for name, tally in tallies.items() if name.startswith(f"{room}/")]
        print(f"{room:10}{total(own)}")
    return 0


def _files() -> set[str]:
    """What can be mutated, below `web/src`."""
    paths = [path for room in ROOMS for path in (WEB / "src" / room).glob("*.ts")]
    sources = [path for path in paths if not path.name.endswith(".test.ts")]
    return {path.relative_to(WEB / "src").as_posix() for path in sources}


def see_same_versions(web: Path = WEB, here: Path = HERE) -> None:
    """See that the tests meet the packages here that they meet in `web/`.

    Raises:
        ToolFailed: a package has another version.
    """
    theirs, ours = _versions(web), _versions(here)
    different = [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
    if different:
        raise ToolFailed(
            f"{here / 'package.json'} and {web / 'package.json'} name different versions of "
            f"{', '.join(sorted(different))}. Give both the same, and bring the lock up to date."
        )


def _versions(folder: Path) -> dict[str, str]:
    package = json.loads((folder / "package.json").read_bytes())
    return {**package.get("dependencies", {}), **package["devDependencies"]}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations.web", description=__doc__)
    add = parser.add_argument
    add("--room", action="append", choices=ROOMS, help="only this room (default: both)")
    add("--file", action="append", help="only this file below web/src, such as state/cut.ts")
    add("--keep", action="store_true", help="write the figures to results-web.json")
    options = parser.parse_args(arguments)
    files: list[str] = options.file or []
    if unknown := set(files) - _files():
        parser.error(f"no such file below web/src: {', '.join(sorted(unknown))}")
    if files:
        options.room = [room for room in ROOMS if any(f.startswith(f"{room}/") for f in files)]
    return options


def _judge(command: Sequence[str], folder: Path, room: str, files: Sequence[str] | None) -> Path:
    """Let Stryker judge a room's mutants in a copy. Returns its report."""
    for name in ROOMS:
        shutil.copytree(WEB / "src" / name, folder / "src" / name)
    shutil.copy(WEB / "src" / "words.ts", folder / "src")
    shutil.copy(WEB / "tsconfig.json", folder)
    for name in _SETUP:
        shutil.copy(HERE / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    report = folder / "report.json"
    chosen = [f"src/{file}" for file in files or () if file.startswith(f"{room}/")]
    settings = {
        "testRunner": "vitest",
        "plugins": ["@stryker-mutator/vitest-runner"],
        "vitest": {"configFile": "vitest.config.js", "related": False},
        "mutate": chosen or [f"src/{room}/*.ts", f"!src/{room}/*.test.ts"],
        "coverageAnalysis": "perTest",
        "concurrency": 1,
        "timeoutMS": 10_000,
        "inPlace": True,
        "checkers": [],
        "tsconfigFile": "none",  # TypeScript 7 has no interface that Stryker knows
        "reporters": ["progress-append-only", "json"],
        "jsonReporter": {"fileName": str(report)},
    }
    (folder / "stryker.json").write_text(json.dumps(settings))
    environment = {**node_environment(), "MUTANTS_ROOM": room}
    if _run([*command, "run", "stryker.json"], folder, environment) != 0 or not report.is_file():
        raise ToolFailed(f"Stryker could not judge the mutants of web/src/{room}; see above.")
    return report


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Run a program with its children in a group of their own, and leave none behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
