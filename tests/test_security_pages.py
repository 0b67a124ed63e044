"""SECURITY.md and docs/security.md say what is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from durable_llm_streams.cli.public import check_public
from durable_llm_streams.cli.settings import Settings, names
from durable_llm_streams.errors import InvalidSetting
from tests.promises import PROMISES

ROOT = Path(__file__).parents[1]
THREATS = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_threat_names_a_test_or_a_promise_that_exists() -> None:
    table = THREATS.partition("## Threats")[2].partition("## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 5
    for row in rows:
        files = re.findall(r"`(tests/[\w/.]+)`", row[-1])
        promises = re.findall(r"`--promise ([\w-]+)`", row[-1])
        assert files or promises, row
        assert set(promises) <= set(PROMISES), row
        assert [file for file in files if not (ROOT / file).is_file()] == [], row


def test_every_variable_on_both_pages_is_a_setting() -> None:
    known = {name for field in Settings.model_fields for name in names(field)}
    for text in (THREATS, PAGE):
        assert set(re.findall(r"\bDLS_[A-Z_]+", text)) <= known


def test_the_refusal_on_the_page_is_the_one_that_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DLS_HOST", "0.0.0.0")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with pytest.raises(InvalidSetting) as caught:
        check_public(Settings())
    assert f"dls: {caught.value}" in " ".join(PAGE.split())
