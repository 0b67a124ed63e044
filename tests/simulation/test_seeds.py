"""Seed files: what was written is read again, and a damaged one is refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from .__main__ import main
from .seeds import VERSION, SeedFile

GOOD = b'{"version":1,"seed":7,"store":"redis","only":["slow append of A1 3"],"broke":"stop: x"}'
NO_SEED_FILE = "is no seed file, or a damaged one"
DAMAGED = {
    "there is none": (None, "cannot be read"),
    "empty": (b"", NO_SEED_FILE),
    "other JSON": (b'{"a": 1}', NO_SEED_FILE),
    "cut off": (GOOD[:40], NO_SEED_FILE),
    "of a later version": (GOOD.replace(b'"version":1', b'"version":2'), NO_SEED_FILE),
    "an unknown store": (GOOD.replace(b"redis", b"postgres"), NO_SEED_FILE),
    "an unknown field": (GOOD.replace(b'"broke"', b'"brake"'), NO_SEED_FILE),
    "not UTF-8": (GOOD.replace(b"slow", b"slo\xff"), NO_SEED_FILE),
    "deep": (b'{"only":' + b"[" * 100_000, NO_SEED_FILE),
}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there.json"
    kept = SeedFile(VERSION, -(2**40), "sqlite", ["kill A1 1", "slow append"], 'a "b"\nc: é 日')
    kept.write(path)
    assert SeedFile.read(path) == kept
    path.write_bytes(b'{"store": "sqlite", "seed": 7, "version": 1}')  # by hand
    assert SeedFile.read(path) == SeedFile(VERSION, 7, "sqlite", None, "")


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_ends_the_hunt_with_2_and_what_to_do(
    content: bytes | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "seed.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["--file", str(path)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert f"{path} {reason} (" in error
    assert "Name one that is there" in error or "make hunt ARGS='--seed NUMBER" in error
    assert len(error) < 400
