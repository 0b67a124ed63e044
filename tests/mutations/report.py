"""What became of the mutants: for people, and as a file for the documentation."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from . import verdicts as outcomes
from .equivalent import reason_of
from .files import KEPT, aside, locked, write
from .mutant import ROOMS, Mutant
from .verdicts import Verdict

#: Where the figures are kept.
RESULTS: Final = Path(__file__).with_name("results.json")

_EQUIVALENT: Final = "equivalent"
_COLUMNS: Final = ("mutants", outcomes.CAUGHT, outcomes.TIMED_OUT, outcomes.SURVIVED, _EQUIVALENT)


class Report:
    """Counts, by room.

    Args:
        say: takes a line for people.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.survivors: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Count a mutant, and name it if nothing caught it."""
        counts = self.counts[mutant.room]
        if verdict.outcome == outcomes.UNFIT:
            counts[outcomes.UNFIT] += 1
            return
        counts["mutants"] += 1
        if verdict.good:
            counts[verdict.outcome] += 1
        elif reason_of(mutant):
            counts[_EQUIVALENT] += 1
        else:
            counts[outcomes.SURVIVED] += 1
            self.survivors[mutant.room].append(mutant.key)
            unreached = ", no test reaches it" if verdict.outcome == outcomes.UNREACHED else ""
            self._say(f"survived{unreached}: {mutant.name}{mutant.name and ' '}{mutant.key}")

    def end(self) -> None:
        """Say the counts."""
        self._say(" ".join(["room     ", *(f"{name:>10}" for name in _COLUMNS), "    score"]))
        for room in ROOMS:
            if room in self.counts:
                counts = self.counts[room]
                cells = [f"{counts[name]:>10}" for name in _COLUMNS]
                self._say(" ".join([f"{room:9}", *cells, f"{score(counts):>8.1f}%"]))


def score(counts: Counter[str]) -> float:
    """The percentage that was caught of what could be."""
    rest = counts["mutants"] - counts[_EQUIVALENT]
    return 100 * (counts[outcomes.CAUGHT] + counts[outcomes.TIMED_OUT]) / rest if rest else 100.0


def keep(report: Report, command: str) -> None:
    """Bring `results.json` up to date: the rooms of this run, and those of earlier ones."""
    with locked(KEPT / RESULTS.name):
        rooms = _kept_rooms()
        for room, counts in report.counts.items():
            rooms[room] = {
                "command": command,
                **{name: counts[name] for name in _COLUMNS},
                "score": round(score(counts), 1),
                "survivors": sorted(report.survivors[room]),
            }
        totals = {name: sum(room[name] for room in rooms.values()) for name in _COLUMNS}
        known = {room: rooms[room] for room in ROOMS if room in rooms}
        result = {"command": "make mutants", "counts": totals, "rooms": known}
        write(RESULTS, (json.dumps(result, indent=1) + "\n").encode())


def _kept_rooms() -> dict[str, Any]:
    try:
        rooms: dict[str, Any] = json.loads(RESULTS.read_text())["rooms"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        print(aside(RESULTS, error))
        return {}
    return rooms
