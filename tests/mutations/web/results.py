"""Counts mutants per room from Stryker's report, and keeps the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

#: Where the figures of whole rooms are kept.
RESULTS: Final = Path(__file__).parents[1] / "results-web.json"
#: Survivors that no test can catch, each with the reason.
EQUIVALENT: Final = Path(__file__).with_name("equivalent.json")

_CAUGHT: Final = {"Killed", "Timeout", "RuntimeError"}
_SURVIVED: Final = {"Survived", "NoCoverage"}


class DamagedResults(Exception):
    """A file of results cannot be read; the text says which, why and what to do."""


class Mutant(msgspec.Struct, frozen=True, order=True):
    """A mutant, named by the text it changes and not by the line's number.

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

    file: str
    code: str
    replaced: str
    by: str
    because: str

    @property
    def mutant(self) -> Mutant:
        """The mutant that is meant."""
        return Mutant(self.file, self.code, self.replaced, self.by)


class Room(NamedTuple):
    """What became of the mutants of one room."""

    name: str
    mutants: int
    caught: int
    timeouts: int
    equivalent: int
    survivors: tuple[Mutant, ...]

    @property
    def score(self) -> float:
        """Caught in percent of what is not equivalent."""
        real = self.mutants - self.equivalent
        return round(100 * self.caught / real, 1) if real else 100.0

    def line(self) -> str:
        """One line of the table."""
        return (
            f"{self.name:10} {self.mutants:5} mutants, {self.caught:5} caught "
            f"({self.timeouts} by a timeout), {self.equivalent:3} equivalent, "
            f"{len(self.survivors):4} survived: {self.score} %"
        )


def read_equivalents(path: Path = EQUIVALENT) -> list[Equivalent]:
    """The reviewed list.

    Raises:
        DamagedResults: it is no list of such entries.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Equivalent])
    except (OSError, msgspec.DecodeError) as error:
        raise DamagedResults(f"{path} cannot be read: {error}") from error


def read_report(path: Path, room: str, equivalents: Sequence[Equivalent]) -> Room:
    """What Stryker's report says of a room.

    Raises:
        DamagedResults: it is no report.
    """
    known = {entry.mutant for entry in equivalents}
    statuses: list[str] = []
    survivors: list[Mutant] = []
    equivalent = 0
    try:
        for name, file in json.loads(path.read_bytes())["files"].items():
            for found in file["mutants"]:
                if found["status"] not in _CAUGHT | _SURVIVED:
                    continue
                statuses.append(found["status"])
                if found["status"] in _CAUGHT:
                    continue
                mutant = _mutant(name.removeprefix("src/"), file["source"], found)
                if mutant in known:
                    equivalent += 1
                else:
                    survivors.append(mutant)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedResults(f"Stryker's report {path} cannot be read: {error!r}") from error
    caught = sum(status in _CAUGHT for status in statuses)
    timeouts = statuses.count("Timeout")
    return Room(room, len(statuses), caught, timeouts, equivalent, tuple(survivors))


def keep(rooms: Sequence[Room], path: Path = RESULTS) -> None:
    """Write the figures of these rooms; those of other rooms stay.

    Raises:
        DamagedResults: the file is damaged; it is moved aside.
    """
    kept: dict[str, Any] = {}
    if path.exists():
        try:
            kept = dict(json.loads(path.read_bytes())["rooms"])
        except (ValueError, KeyError, TypeError) as error:
            aside = path.with_suffix(".damaged.json")
            path.rename(aside)
            raise DamagedResults(
                f"{path.name} is damaged ({error!r}): it is {aside.name} now. Run this again."
            ) from error
    for room in rooms:
        kept[room.name] = {
            "mutants": room.mutants,
            "caught": room.caught,
            "timeouts": room.timeouts,
            "equivalent": room.equivalent,
            "survived": len(room.survivors),
            "score": room.score,
            "survivors": _by_file(room.survivors),
        }
    figures = {"command": "python -m tests.mutations.web --keep", "rooms": kept}
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _by_file(survivors: Sequence[Mutant]) -> dict[str, int]:
    files = sorted({mutant.file for mutant in survivors})
    return {file: sum(mutant.file == file for mutant in survivors) for file in files}


def _mutant(name: str, source: str, found: dict[str, Any]) -> Mutant:
    lines = source.splitlines()
    start, end = found["location"]["start"], found["location"]["end"]
    first, last = start["line"] - 1, end["line"] - 1
    text = lines[first : last + 1]
    text[-1] = text[-1][: end["column"] - 1]
    text[0] = text[0][start["column"] - 1 :]
    return Mutant(name, lines[first].strip(), "\n".join(text), found["replacement"])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:60]} ... {line[-30:]}"
