"""`python -m tests.fuzz`: what it says, and that it keeps what it is given."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import harness


def test_without_atheris_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert command.main(["cursor"]) == 2
    assert "scripts/bootstrap fuzz" in capsys.readouterr().err


def test_an_input_is_kept_in_the_corpus_of_its_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(harness, "CORPUS", tmp_path)
    data = b"\0\xff, and a line\n"
    assert command.main(["cursor", "--keep", base64.b64encode(data).decode()]) == 0
    assert list(harness.corpus("cursor").values()) == [data]


def test_the_names_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0
    assert "cursor" in capsys.readouterr().out.split()
    with pytest.raises(SystemExit):
        command.main(["no-such-target"])
    assert "there are" in capsys.readouterr().err
