"""A deliberate defect, and how it is put into a copy of the sources."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.promises import PROMISES

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "durable_llm_streams"
SOURCES: Final = ROOT / "src" / PACKAGE

#: What a copy does without: it is made again, or it is large and no defect is in it.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "assets", "*.br", "*.gz", "licenses.txt")


class AnchorMoved(Exception):
    """The text that a defect replaces is not in its file exactly once. The text says which."""


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One slip in one file.

    Attributes:
        id: its name on the command line.
        slip: what an engineer has got wrong, for people.
        breaks: the promises that it breaks.
        file: where, from the package's folder on.
        diff: the change. Each line begins with a mark: `-` for one that goes, `+` for one that
            comes, a space for one that stays. The lines that go and stay are found together, in the
            file exactly once. `@@` alone on a line stands between two such places.
        stores: where the simulator looks for it; none: what it breaks cannot be seen there.
        tests: what else must catch it: pytest's names of tests, from the root of the repository.
    """

    id: str
    slip: str
    breaks: tuple[str, ...]
    file: str
    diff: str
    stores: tuple[str, ...] = ("sqlite", "redis")
    tests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [promise for promise in self.breaks if promise not in PROMISES]
        if unknown or not self.breaks:
            raise ValueError(f"{self.id} breaks {unknown or 'nothing'}; see tests/promises.py.")
        if not (self.stores or self.tests):
            raise ValueError(f"Nobody looks for {self.id}: name stores or tests.")

    def applied(self, text: str) -> str:
        """The file's text with the defect in it.

        Raises:
            AnchorMoved: a text that is to be replaced is not there, or not once.
        """
        for place in self.diff.strip("\n").split("\n@@\n"):
            anchor, replacement = _side(place, "-"), _side(place, "+")
            if (count := text.count(anchor)) != 1:
                raise AnchorMoved(
                    f"{self.id}: this must stand in {self.file} exactly once, but it stands there "
                    f"{count} times. Write the defect anew for the code as it is.\n{anchor}"
                )
            text = text.replace(anchor, replacement)
        return text

    def mutated(self, sources: Path = SOURCES) -> str:
        """The text of its file with the defect in it. Raises AnchorMoved."""
        return self.applied((sources / self.file).read_text())


def copy_sources(folder: Path) -> Path:
    """Copy the package as it is now, so that nobody's edits get into the middle of a proof.

    Returns:
        The folder that belongs on `PYTHONPATH`.
    """
    shutil.copytree(SOURCES, folder / PACKAGE, ignore=_LEFT_OUT)
    return folder


def plant(defect: Defect, sound: Path, folder: Path) -> Path:
    """Make a package with the defect in it. All but the changed file are links.

    Args:
        defect: the defect.
        sound: what `copy_sources` returned.
        folder: an empty one.

    Returns:
        The folder that belongs on `PYTHONPATH`.

    Raises:
        AnchorMoved: see `Defect.applied`.
    """
    whole = folder / PACKAGE
    _link_all_but(sound / PACKAGE, whole, Path(defect.file).parts)
    (whole / defect.file).write_text(defect.mutated(sound / PACKAGE))
    return folder


def _side(place: str, mark: str) -> str:
    """The lines before (`-`) or after (`+`) a change, each with the line feed before it."""
    lines = place.split("\n")
    return "".join(f"\n{line[1:]}" for line in lines if line[:1] in (mark, " ")) + "\n"


def _link_all_but(source: Path, target: Path, left_out: tuple[str, ...]) -> None:
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name == left_out[0]:
            if len(left_out) > 1:
                _link_all_but(entry, target / entry.name, left_out[1:])
        elif entry.name != "__pycache__":  # it would be written into
            (target / entry.name).symlink_to(entry)
