"""The mutants of the page's engine: Stryker makes and judges them.

1. The random cuts (`cuts.test.ts`) do not take part: a directed test must catch what they find.
2. A mutant that loops is ended by Stryker: after 10 s and 1.5 times what its tests need.
3. `web/warm-threads.js` keeps a thread and its jsdom from one mutant to the next, and
   `web/fresh-page.js` gives each test file new modules and an empty page. That is ten times as
   quick as a new thread.
4. The packages of `web/package.json` here are installed on the first run, and by nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hatch_build import node_environment
from tests.node import WEB, tool

from . import verdicts as outcomes
from .mutant import one_line
from .report import Damaged

HERE: Final = Path(__file__).parent / "web"
ROOMS: Final = ("transport", "state")

_OUTCOMES: Final = {
    "Killed": outcomes.CAUGHT,
    "RuntimeError": outcomes.CAUGHT,
    "Timeout": outcomes.TIMED_OUT,
    "Survived": outcomes.SURVIVED,
    "NoCoverage": outcomes.UNREACHED,
}


class ToolFailed(Exception):
    """Stryker could not judge the mutants; the text says why."""


def files_of(room: str, function: str | None) -> list[str]:
    """The files of a room, below `web/src`; with `function`, such as `state.cut`, only that one."""
    names = (f"{room}/{path.name}" for path in (WEB / "src" / room).glob("*.ts"))
    sources = sorted(name for name in names if not name.endswith(".test.ts"))
    return [name for name in sources if function in (None, _address(name))]


def judge(room: str, files: Sequence[str]) -> list[tuple[str, str]]:
    """Each mutant of these files of a room, and what became of it.

    Raises:
        BuildError: Node.js is missing, or npm failed.
        ToolFailed: Stryker failed.
        Damaged: its report cannot be read.
    """
    command = tool(HERE, "stryker")
    with tempfile.TemporaryDirectory(prefix="dls-mutants-") as name:
        folder = Path(name).resolve()
        for each in ROOMS:
            shutil.copytree(WEB / "src" / each, folder / "src" / each)
        shutil.copy(WEB / "src" / "words.ts", folder / "src")
        shutil.copy(WEB / "tsconfig.json", folder)
        for each in ("vitest.config.js", "warm-threads.js", "fresh-page.js"):
            shutil.copy(HERE / each, folder)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "node_modules").symlink_to(HERE / "node_modules")
        report = folder / "report.json"
        settings = {
            "testRunner": "vitest",
            "plugins": ["@stryker-mutator/vitest-runner"],
            "vitest": {"configFile": "vitest.config.js", "related": False},
            "mutate": [f"src/{file}" for file in files],
            "coverageAnalysis": "perTest",
            "concurrency": 1,
            "timeoutMS": 10_000,
            "inPlace": True,
            "checkers": [],
            "tsconfigFile": "none",  # TypeScript 7 has no interface that Stryker supports
            "reporters": ["progress-append-only", "json"],
            "jsonReporter": {"fileName": str(report)},
        }
        (folder / "stryker.json").write_text(json.dumps(settings))
        environment = {**node_environment(), "MUTANTS_ROOM": room}
        status = _run([*command, "run", "stryker.json"], folder, environment)
        if status != 0 or not report.is_file():
            raise ToolFailed(f"Stryker could not judge the mutants of web/src/{room}; see above.")
        return list(read_report(report))


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Run a program with its children in a group of their own, and leave none behind."""
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read_report(path: Path) -> Iterator[tuple[str, str]]:
    """The mutants of Stryker's report by their text, not by a line's number.

    Raises:
        Damaged: it is no report.
    """
    try:
        for name, file in json.loads(path.read_bytes())["files"].items():
            lines = file["source"].splitlines()
            for one in file["mutants"]:
                if one["status"] in _OUTCOMES:
                    yield _key(name.removeprefix("src/"), lines, one), _OUTCOMES[one["status"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Damaged(f"Stryker's report {path} cannot be read: {error!r}") from error


def _key(file: str, lines: Sequence[str], found: dict[str, Any]) -> str:
    start, end = found["location"]["start"], found["location"]["end"]
    text = list(lines[start["line"] - 1 : end["line"]])
    code = text[0].strip()
    text[-1] = text[-1][: end["column"] - 1]
    text[0] = text[0][start["column"] - 1 :]
    change = f"{one_line(' '.join(text))} -> {one_line(found['replacement'])}"
    return f"{_address(file)}: {code}: {change}"


def _address(file: str) -> str:
    return file.removesuffix(".ts").replace("/", ".")
