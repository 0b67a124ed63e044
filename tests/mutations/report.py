"""What became of the defects: for people, and as a file for the documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from .catching import Catch
from .defect import Defect

#: Where the figures of a whole proof are kept.
RESULTS: Final = Path(__file__).with_name("results.json")


class Verdict(NamedTuple):
    """A defect and who has caught it.

    Attributes:
        defect: the defect.
        catch: None when nobody has.
        trouble: why not.
    """

    defect: Defect
    catch: Catch | None
    trouble: str

    def line(self) -> str:
        """One line for people."""
        if self.catch is None:
            return f"NOT CAUGHT  {self.defect.id}: {self.trouble}"
        catch = self.catch
        seen = f"{catch.promise}: {catch.how}" if catch.promise else catch.how
        return f"{catch.seconds:6.1f} s  {self.defect.id}, by {catch.by}: {seen[:160]}"


def table(verdicts: Sequence[Verdict], seeds: int) -> str:
    """All of it.

    Args:
        verdicts: in the order of the list.
        seeds: of the simulator.
    """
    rows = [("Defect", "Breaks", "Caught by", "Seconds")]
    for defect, catch, _ in verdicts:
        by = f"{catch.by} ({catch.promise})" if catch and catch.promise else catch and catch.by
        seconds = f"{catch.seconds:.1f}" if catch else ""
        rows.append((defect.id, ", ".join(defect.breaks), by or "NOBODY", seconds))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    caught = [verdict.catch for verdict in verdicts if verdict.catch is not None]
    simulated = sum(catch.seed is not None for catch in caught)
    total = f"Caught {len(caught)} of {len(verdicts)}, by the simulator within {seeds} seeds "
    return "\n".join(["", *(line.rstrip() for line in lines), "", f"{total}{simulated}."])


def keep(verdicts: Sequence[Verdict], seeds: int) -> None:
    """Write `results.json`.

    Args:
        verdicts: of all defects; each was caught.
        seeds: of the simulator.
    """
    caught = [(defect, catch) for defect, catch, _ in verdicts if catch is not None]
    counts = {
        "defects planted": len(verdicts),
        "caught": len(caught),
        f"caught by the simulator within {seeds} seeds": sum(
            catch.seed is not None for _, catch in caught
        ),
    }
    defects = [
        {
            "id": defect.id,
            "slip": defect.slip,
            "breaks": defect.breaks,
            "by": catch.by,
            "saw": catch.promise,
            "seconds": catch.seconds,
        }
        for defect, catch in caught
    ]
    RESULTS.write_text(json.dumps({"counts": counts, "defects": defects}, indent=1) + "\n")
