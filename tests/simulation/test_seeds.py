"""Seed files: what was written is read again, and a damaged one is told in a sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .hunting import ROOT, environment
from .seeds import VERSION, DamagedSeedFile, SeedFile

GOOD = b'{"version":1,"seed":7,"store":"redis","only":["slow append of A1 3"],"broke":"stop: x"}'


@pytest.mark.parametrize(
    "kept",
    [
        SeedFile(VERSION, 0, "sqlite"),
        SeedFile(VERSION, 2**40, "redis", [], "prefix: a gap"),
        SeedFile(VERSION, -1, "redis", ["kill A1 1", "slow append of A1 3"], 'a "b"\nc: é 日'),
    ],
)
def test_what_was_written_is_read_again(kept: SeedFile, tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there.json"
    kept.write(path)
    assert SeedFile.read(path) == kept
    assert path.read_bytes().endswith(b"}\n")


def test_a_file_that_was_written_by_hand_needs_the_seed_and_the_store(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_bytes(b'{"store": "sqlite", "seed": 7, "version": 1}')
    assert SeedFile.read(path) == SeedFile(VERSION, 7, "sqlite", None, "")


DAMAGED = {
    "empty": b"",
    "blank": b"\n",
    "null": b"null",
    "a list": b"[1, 2]",
    "other JSON": b'{"a": 1}',
    "no store": b'{"version":1,"seed":7}',
    "a later version": GOOD.replace(b'"version":1', b'"version":2'),
    "an unknown store": GOOD.replace(b"redis", b"postgres"),
    "an unknown field": GOOD.replace(b'"broke"', b'"brake"'),
    "a seed that is no number": GOOD.replace(b":7", b':"7"'),
    "a seed that is not whole": GOOD.replace(b":7", b":7.5"),
    "names that are none": GOOD.replace(b'"slow append of A1 3"', b"3"),
    "two of them": GOOD + GOOD,
    "binary": bytes(range(256)),
    "not UTF-8": GOOD.replace(b"slow", b"slo\xff"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "deep": b'{"only":' + b"[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_told_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_bytes(content)
    with pytest.raises(DamagedSeedFile) as caught:
        SeedFile.read(path)
    told = str(caught.value)
    assert told.startswith(f"{path} is no seed file, or a damaged one (")
    assert told.endswith("make hunt ARGS='--seed NUMBER --store sqlite' (or redis).")
    assert len(told) < 400


def test_a_file_that_was_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    for length in range(len(GOOD)):
        path.write_bytes(GOOD[:length])
        with pytest.raises(DamagedSeedFile):
            SeedFile.read(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def nothing(path: Path) -> None:
    """It is missing."""


def a_circle_of_links(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [a_folder, nothing, a_circle_of_links])
def test_what_cannot_be_read_is_told_with_the_reason(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "seed.json"
    make(path)
    with pytest.raises(DamagedSeedFile) as caught:
        SeedFile.read(path)
    assert str(caught.value).startswith(f"The seed file {path} cannot be read (")
    assert str(caught.value).endswith("). Name one that is there.")


def test_the_hunt_ends_with_2_and_the_sentence_alone(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_bytes(GOOD[:20])
    with pytest.raises(DamagedSeedFile) as caught:
        SeedFile.read(path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--file", str(path)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{caught.value}\n"
