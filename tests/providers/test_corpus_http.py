"""Every file of the corpus over real HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers.case import load, name_of, paths
from tests.providers.verdict import differences, explained
from tests.providers.walk import walk

PATHS = list(paths())


@pytest.mark.parametrize("path", PATHS, ids=map(name_of, PATHS))
async def test_a_providers_answer_gives_the_outcome_in_its_file(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = load(path)
    outcomes = await walk(case, tmp_path, monkeypatch)
    expectations = case.expectations
    found = [
        f"  {name}: expected {expected!r}, got {got!r}"
        for expect, outcome in zip(expectations, outcomes[-len(expectations) :], strict=True)
        for name, (expected, got) in differences(expect, outcome).items()
    ]
    if found:
        pytest.fail(explained(path, case, found), pytrace=False)
