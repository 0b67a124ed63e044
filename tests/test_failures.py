"""What a run with failures shows: each fault once in full, and how to run its test again."""

from __future__ import annotations

import ast
import gc
import inspect
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TESTS = """
import pytest
from helper import meet

@pytest.fixture(scope="module")
def server():
    raise OSError("no server at port 1234")

@pytest.mark.parametrize("name", ["one", "it's"])
def test_setup(server, name):
    pass

@pytest.mark.parametrize("name", ["a", "b"])
def test_helper(name):
    meet(len(name))

def test_own():
    assert 1 == 2, "mine"

def test_own_too():
    assert 1 == 2, "mine"
"""
HELPER = "def meet(number):\n    raise ValueError(f'met {number}')\n"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fault_is_shown_once_and_its_command_runs_it_again(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = ["-p", "tests.failures", "-p", "xdist", "-p", "no:cacheprovider", "-n", str(workers)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout.partition("short test summary info")[0]
    assert "4 failed, 2 errors" in "".join(done.stdout.splitlines()[-1:]), done.stdout + done.stderr
    assert told.count("raise OSError") == told.count(" raise ValueError") == 1, told
    assert told.count("The same failure as in test_it.py::test_setup[") == 1, told
    assert told.count("The same failure as in test_it.py::test_helper[") == 1, told
    assert told.count("def test_own") == 2, told
    commands = [line for line in told.splitlines() if line.startswith(".venv/bin/python -m pytest")]
    assert len(commands) == 4, told
    assert all("test_it.py::test_" in command for command in commands), told


class Failed:
    """Formats a traceback when it is garbage-collected, as asyncio does for a failed task."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        try:
            print(1 // 0 + 1)
        except ZeroDivisionError:
            traceback.format_exc()


def test_a_failed_task_that_is_collected_does_not_disturb_what_is_shown() -> None:
    """Python before 3.11.8 cannot parse a line of a traceback while it parses a file."""
    source, threshold = inspect.getsource(ast), gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(10):
            for _ in range(3):
                Failed()
            assert isinstance(ast.parse(source), ast.Module)
    finally:
        gc.set_threshold(*threshold)
