"""A session judges mutants with tests: what is caught, what hangs, what survives."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from .mutant import ROOT

TESTS = """
from durable_llm_streams.wire import sse


def test_the_opening_names_the_pause():
    assert b"retry: 5" in sse.opening(5)


def test_a_frame_ends_with_an_empty_line():
    for _ in iter(lambda: sse.frame("1.a.1", b"{}").endswith(bytes(2 * [10])), True):
        pass


def test_that_fails_without_a_mutant():
    sse.opening()
    assert False
"""

PROGRAM = """
import json, sys
from pathlib import Path
import pytest
from tests.mutations.by_hand import Slip, mutant_of
from tests.mutations.reach import Reach
from tests.mutations.session import Budget, Session

folder = Path(sys.argv[1])
OPENING = 'b": stream-open\\\\nretry: %d\\\\n\\\\n" % retry_ms'
FRAME = 'b"id: %b\\\\ndata: %b\\\\n\\\\n" % (cursor.encode(), chunk)'
SLIPS = [
    Slip("silent", "wire.sse:opening", OPENING, 'b""'),
    Slip("hangs", "wire.sse:frame", FRAME, "chunk"),
    Slip("same", "wire.sse:opening", OPENING, 'b"retry: %d" % retry_ms'),
    Slip("elsewhere", "wire.sse:SSEParser.__init__", "self.retry: int | None = None", "pass"),
    Slip("no code", "wire.sse:opening", f"return {OPENING}", "return [*]"),
]
found = {}


def work(session):
    reach = Reach({})
    session.record(reach, [str(path.relative_to(folder)) for path in folder.glob("test_*.py")], int)
    found["failed"] = [name for name, _ in reach.failed(reach.files)]
    mutants = [mutant_of(slip) for slip in SLIPS]
    for mutant, verdict in session.judge(mutants, reach, Budget(patience=2.0)):
        found[mutant.name] = (verdict.outcome, verdict.by)


session = Session(work, folder / "work", 2, print)
(folder / "work").mkdir()
options = ["-q", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", str(folder / "pytest.ini")]
pytest.main([*options, str(folder / "test_example.py")], plugins=[session])
if session.error is not None:
    raise session.error
(folder / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a session of its own, with tests of its own, has found."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "test_example.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    left = [path.name for path in (folder / "work").iterdir() if path.name.isdigit()]
    assert not left, f"folders of processes are left over: {left}"
    return result


def test_a_mutant_that_a_test_notices_is_caught(found: dict[str, Any]) -> None:
    outcome = ["caught", "test_example.py::test_the_opening_names_the_pause"]
    assert found["silent"] == outcome, found


def test_a_mutant_that_makes_a_test_hang_is_killed_and_counts(found: dict[str, Any]) -> None:
    outcome = ["timed out", "test_example.py::test_a_frame_ends_with_an_empty_line"]
    assert found["hangs"] == outcome, found


def test_a_mutant_that_no_test_notices_survives(found: dict[str, Any]) -> None:
    assert found["same"] == ["survived", ""], found


def test_a_mutant_that_no_test_runs_is_told_apart(found: dict[str, Any]) -> None:
    assert found["elsewhere"] == ["unreached", ""], found


def test_a_mutant_that_is_no_code_is_told_apart(found: dict[str, Any]) -> None:
    assert found["no code"] == ["unfit", ""], found


def test_a_test_that_fails_without_a_mutant_catches_none(found: dict[str, Any]) -> None:
    assert found["failed"] == ["test_example.py::test_that_fails_without_a_mutant"], found
