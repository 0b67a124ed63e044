"""Counts mutants per file and room from Stryker's report, and keeps the figures."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

#: Where the figures are kept.
RESULTS: Final = Path(__file__).parents[1] / "results-web.json"
#: Survivors that no test can catch, each with the reason.
EQUIVALENT: Final = Path(__file__).with_name("equivalent.json")

_CAUGHT: Final = {"Killed", "Timeout", "RuntimeError"}
_SURVIVED: Final = {"Survived", "NoCoverage"}


class DamagedFile(Exception):
    """A file cannot be read; the text says which, why and what to do."""


class Mutant(msgspec.Struct, frozen=True, order=True):
    """A mutant, named by the text that it changes and not by a line's number.

    Attributes:
        file: below `web/src`.
        code: the first line of what is changed, without its indentation.
        replaced: what is changed.
        by: what stands there instead.
    """

    file: str
    code: str
    replaced: str
    by: str

    def __str__(self) -> str:
        return f"{self.file}: {self.code}\n    {_short(self.replaced)}  ->  {_short(self.by)}"


class Equivalent(msgspec.Struct, frozen=True):
    """A survivor that behaves as the original does; `because` says why."""

    mutant: Mutant
    because: str


class Tally(msgspec.Struct, frozen=True):
    """How many mutants there were, and what became of them."""

    mutants: int = 0
    caught: int = 0
    timeouts: int = 0
    equivalent: int = 0
    survived: int = 0

    @property
    def score(self) -> float:
        """Caught in percent of what is not equivalent."""
        real = self.mutants - self.equivalent
        return round(100 * self.caught / real, 1) if real else 100.0

    def __str__(self) -> str:
        return (
            f"{self.mutants:5} mutants, {self.caught:5} caught ({self.timeouts} by a timeout), "
            f"{self.equivalent:3} equivalent, {self.survived:4} survived: {self.score} %"
        )


class Report(msgspec.Struct, frozen=True):
    """What one run of Stryker found.

    Attributes:
        tallies: per file.
        survivors: without those that are known to be equivalent.
        needless: entries of the reviewed list that name none of the survivors.
    """

    tallies: dict[str, Tally]
    survivors: list[Mutant]
    needless: list[Mutant]


class Room(msgspec.Struct):
    """The figures of a room: in all, and per file."""

    total: Tally
    score: float
    files: dict[str, Tally]


class Results(msgspec.Struct):
    """What is kept."""

    command: str = "python -m tests.mutations.web --keep"
    rooms: dict[str, Room] = {}


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum."""
    sums = [sum(column) for column in zip(*map(msgspec.structs.astuple, tallies), strict=True)]
    return Tally(*sums)


def read_equivalents(path: Path = EQUIVALENT) -> list[Equivalent]:
    """The reviewed list.

    Raises:
        DamagedFile: it is no list of such entries.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Equivalent])
    except (OSError, msgspec.DecodeError) as error:
        raise DamagedFile(f"{path} cannot be read: {error}") from error


def read_report(path: Path, equivalents: Iterable[Equivalent]) -> Report:
    """What Stryker's report says.

    Raises:
        DamagedFile: it is no report.
    """
    known = {entry.mutant for entry in equivalents}
    report = Report({}, [], [])
    try:
        for name, file in json.loads(path.read_bytes())["files"].items():
            short = name.removeprefix("src/")
            found = [
                (one["status"], _mutant(short, file["source"], one))
                for one in file["mutants"]
                if one["status"] in _CAUGHT | _SURVIVED
            ]
            alive = [mutant for status, mutant in found if status in _SURVIVED]
            survivors = [mutant for mutant in alive if mutant not in known]
            report.survivors.extend(survivors)
            needless = {mutant for mutant in known if mutant.file == short}.difference(alive)
            report.needless.extend(sorted(needless))
            report.tallies[short] = Tally(
                mutants=len(found),
                caught=len(found) - len(alive),
                timeouts=sum(status == "Timeout" for status, _ in found),
                equivalent=len(alive) - len(survivors),
                survived=len(survivors),
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedFile(f"Stryker's report {path} cannot be read: {error!r}") from error
    return report


def keep(tallies: Mapping[str, Tally], existing: Collection[str], path: Path = RESULTS) -> Results:
    """Write the figures of these files; those of other files stay.

    Args:
        tallies: by the file's name, which begins with its room.
        existing: the files that there are; what is kept of others goes.
        path: where.

    Raises:
        DamagedFile: the file is damaged; it is moved aside.
    """
    results = _read(path)
    files = {name: tally for room in results.rooms.values() for name, tally in room.files.items()}
    files = {name: tally for name, tally in {**files, **tallies}.items() if name in existing}
    for room in sorted({name.split("/")[0] for name in files}):
        own = {name: files[name] for name in sorted(files) if name.startswith(f"{room}/")}
        sum_ = total(own.values())
        results.rooms[room] = Room(sum_, sum_.score, own)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return results


def _read(path: Path) -> Results:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except FileNotFoundError:
        return Results()
    except msgspec.DecodeError as error:
        aside = path.with_suffix(".damaged.json")
        path.rename(aside)
        message = f"{path.name} is damaged ({error}): it is {aside.name} now. Run this again."
        raise DamagedFile(message) from error


def _mutant(name: str, source: str, found: dict[str, Any]) -> Mutant:
    lines = source.splitlines()
    start, end = found["location"]["start"], found["location"]["end"]
    text = lines[start["line"] - 1 : end["line"]]
    code = text[0].strip()
    text[-1] = text[-1][: end["column"] - 1]
    text[0] = text[0][start["column"] - 1 :]
    return Mutant(name, code, "\n".join(text), found["replacement"])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:60]} ... {line[-30:]}"
