"""Seed files: what was written is read again, and a damaged one is refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from .__main__ import main
from .seeds import VERSION, DamagedSeedFile, SeedFile

GOOD = b'{"version":1,"seed":7,"store":"redis","only":["slow append of A1 3"],"broke":"stop: x"}'
DAMAGED = {
    "empty": b"",
    "null": b"null",
    "other JSON": b'{"a": 1}',
    "no store": b'{"version":1,"seed":7}',
    "a later version": GOOD.replace(b'"version":1', b'"version":2'),
    "an unknown store": GOOD.replace(b"redis", b"postgres"),
    "an unknown field": GOOD.replace(b'"broke"', b'"brake"'),
    "a seed that is not whole": GOOD.replace(b":7", b":7.5"),
    "names that are none": GOOD.replace(b'"slow append of A1 3"', b"3"),
    "two of them": GOOD + GOOD,
    "binary": bytes(range(256)),
    "not UTF-8": GOOD.replace(b"slow", b"slo\xff"),
    "deep": b'{"only":' + b"[" * 100_000,
    **{f"cut at {length}": GOOD[:length] for length in range(1, len(GOOD), 7)},
}


@pytest.mark.parametrize(
    "kept",
    [
        SeedFile(VERSION, 2**40, "redis", [], "prefix: a gap"),
        SeedFile(VERSION, -1, "sqlite", ["kill A1 1", "slow append of A1 3"], 'a "b"\nc: é 日'),
    ],
)
def test_what_was_written_is_read_again(kept: SeedFile, tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there.json"
    kept.write(path)
    assert SeedFile.read(path) == kept
    path.write_bytes(b'{"store": "sqlite", "seed": 7, "version": 1}')  # by hand
    assert SeedFile.read(path) == SeedFile(VERSION, 7, "sqlite", None, "")


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_bytes(content)
    with pytest.raises(DamagedSeedFile) as caught:
        SeedFile.read(path)
    told = str(caught.value)
    assert told.startswith(f"{path} is no seed file, or a damaged one (")
    assert told.endswith("make hunt ARGS='--seed NUMBER --store sqlite' (or redis).")
    assert len(told) < 400


def test_a_hunt_for_what_cannot_be_read_ends_with_2_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        assert main(["--file", str(path)]) == 2
        out, told = capsys.readouterr()
        assert out == ""
        assert told.startswith(f"The seed file {path} cannot be read (")
        assert told.endswith("). Name one that is there.\n")
