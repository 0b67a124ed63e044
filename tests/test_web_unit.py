"""The interface's own tests, which vitest runs, and what its lock file promises."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hatch_build import BuildError, node_environment
from tests.node import PROJECT, WEB, missing, tool

LOCKS = [WEB / "package-lock.json", PROJECT / "package-lock.json"]

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


def packages(lock: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(lock.read_text())["packages"]
    assert len(found) > 1
    return found


def resolves(names: dict[str, Any], place: str, name: str) -> bool:
    """Whether Node.js would find a package from a place: there, or in a folder around it."""
    while f"{place}/node_modules/{name}".removeprefix("/") not in names:
        if not place:
            return False
        place = place.rpartition("node_modules/")[0].rstrip("/")
    return True


@pytest.mark.parametrize("lock", LOCKS, ids=["web", "aisdk"])
def test_an_npm_lock_names_no_host_and_every_package_has_a_digest(lock: Path) -> None:
    entries = packages(lock)
    assert [name for name, entry in entries.items() if "resolved" in entry] == []
    without = [name for name, entry in entries.items() if name and "integrity" not in entry]
    assert without == []
    inside = [key for entry in entries.values() for key in entry.get("dependencies", {}).values()]
    assert [value for value in inside if re.search(r"://|^(file|git|link):", value)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=["web", "aisdk"])
def test_an_npm_lock_holds_the_optional_packages_of_every_platform(lock: Path) -> None:
    entries = packages(lock)
    absent = [
        f"{name} for {place}"
        for place, entry in entries.items()
        for name in entry.get("optionalDependencies", {})
        if not resolves(entries, place, name)
    ]
    assert absent == [], "`npm ci` fails on the platform that misses one"


def test_what_package_json_asks_for_is_what_the_lock_holds() -> None:
    asked = json.loads((WEB / "package.json").read_text())
    root = packages(WEB / "package-lock.json")[""]
    for part in ("dependencies", "devDependencies"):
        assert root[part] == asked[part]
        exact = re.compile(r"\d+\.\d+\.\d+")
        assert [name for name, want in asked[part].items() if not exact.fullmatch(want)] == []
