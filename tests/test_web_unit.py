"""The interface's own tests, which vitest runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hatch_build import BuildError, node_environment
from tests.node import WEB, missing, tool

#: Lines of vitest's own account that a failure shows.
SHOWN = 200


def vitest(report: Path) -> str:
    """Run every test once. Returns what vitest says to a person; `report` is for us."""
    try:
        command = tool(WEB, "vitest")
    except BuildError as error:
        missing(str(error))
    options = ["--allowOnly=false", "--reporter=default", "--reporter=json"]
    done = subprocess.run(
        [*command, "run", *options, f"--outputFile.json={report}"],
        cwd=WEB,
        env=node_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return f"{done.stdout.strip()}\nvitest's exit status: {done.returncode}"


@pytest.mark.timeout(600)
def test_the_interfaces_own_tests_pass_and_none_is_left_out(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    said = vitest(report)
    if not report.exists():
        pytest.fail(f"vitest did not get as far as a report:\n{said}", pytrace=False)
    result: dict[str, Any] = json.loads(report.read_text())
    if not result["success"]:
        _, heading, failures = said.partition("Failed ")
        text = "\n".join((heading + failures or said).splitlines()[:SHOWN])
        pytest.fail(f"Tests of the interface failed.\n{text}", pytrace=False)
    assert result["numTotalTests"] > 0
    assert result["numPassedTests"] == result["numTotalTests"], "some were skipped"
