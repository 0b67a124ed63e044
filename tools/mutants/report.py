"""What became of the mutants: for people, and as a file for the documentation."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from . import verdicts as outcomes
from .files import KEPT, aside, locked, write

#: Where the figures are kept.
RESULTS: Final = Path(__file__).with_name("results.json")
#: By room, the survivors without a visible effect, each with the reason.
EQUIVALENT: Final = Path(__file__).with_name("equivalent.json")

_COLUMNS: Final = ("mutants", outcomes.CAUGHT, outcomes.TIMED_OUT, outcomes.SURVIVED, "equivalent")


class Damaged(Exception):
    """A file of this program cannot be read. The text says which, and why."""


def read_equivalent(path: Path = EQUIVALENT) -> dict[str, dict[str, str]]:
    """The reviewed survivors.

    Raises:
        Damaged: it is not such a file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, str]])
    except (OSError, msgspec.DecodeError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from error


class Report:
    """Counts, by room.

    Args:
        say: takes a line for people.

    Raises:
        Damaged: the reviewed survivors cannot be read.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._equivalent = read_equivalent()
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.survivors: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, room: str, key: str, outcome: str, name: str = "") -> None:
        """Count a mutant, and name it if nothing caught it.

        Args:
            room: where it is.
            key: what it is called here and in the kept files.
            outcome: one of the words of `verdicts`.
            name: of one that was written by hand.
        """
        counts = self.counts[room]
        if outcome == outcomes.UNFIT:
            return
        counts["mutants"] += 1
        known = key in self._equivalent.get(room, {})
        if outcome in (outcomes.CAUGHT, outcomes.TIMED_OUT):
            counts[outcome] += 1
            if known:
                self._say(f"a test catches this one, so remove it from {EQUIVALENT.name}: {key}")
        elif known:
            counts["equivalent"] += 1
        else:
            counts[outcomes.SURVIVED] += 1
            self.survivors[room].append(key)
            unreached = ", no test reaches it" if outcome == outcomes.UNREACHED else ""
            self._say(f"survived{unreached}: {name}{name and ' '}{key}")

    def end(self) -> None:
        """Say the counts."""
        self._say(" ".join(["room     ", *(f"{name:>10}" for name in _COLUMNS), "    score"]))
        for room, counts in self.counts.items():
            cells = [f"{counts[name]:>10}" for name in _COLUMNS]
            self._say(" ".join([f"{room:9}", *cells, f"{_score(counts):>8.1f}%"]))

    def keep(self, command: str, path: Path = RESULTS) -> None:
        """Bring `results.json` up to date: the rooms of this run, and those of earlier ones."""
        with locked(KEPT / path.name):
            rooms: dict[str, Any] = {}
            try:
                rooms.update(json.loads(path.read_text())["rooms"])
            except FileNotFoundError:
                pass
            except (ValueError, KeyError, TypeError) as error:
                self._say(aside(path, error))
            for room, counts in self.counts.items():
                rooms[room] = {
                    "command": command,
                    **{name: counts[name] for name in _COLUMNS},
                    "score": round(_score(counts), 1),
                    "survivors": sorted(self.survivors[room]),
                }
            result = {"command": "make mutants", "rooms": rooms}
            write(path, (json.dumps(result, indent=1) + "\n").encode())


def _score(counts: Counter[str]) -> float:
    """The percentage that was caught of what could be."""
    rest = counts["mutants"] - counts["equivalent"]
    return 100 * (counts[outcomes.CAUGHT] + counts[outcomes.TIMED_OUT]) / rest if rest else 100.0
