"""Figures, their targets, and how they are shown and kept."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

RESULTS: Final = Path(__file__).parent / "results"


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
        repeat: how often each pair is measured; figures are medians.
        warm_up, window: seconds of a load. A window of the product holds a whole cycle of its
            store (a run's tail becomes a segment every six seconds or so); others may be shorter.
        short: a window without a cycle.
        levels: the numbers of runs with tokens of this process.
        provider: the numbers of runs with tokens from a socket.
        idle: the numbers of idle readers: of one run, and of a run each.
        killed: the number of runs under the server that is killed.
        answer: tokens of an answer that a page shows already, and tokens that it is shown coming.
        messages: of a long chat that a page opens.
        pages: which measurements of the interface; none for all.
    """

    repeat: int = 3
    warm_up: float = 1.0
    window: float = 6.5
    short: float = 3.0
    levels: tuple[int, ...] = (100, 500, 1000, 2000)
    provider: tuple[int, ...] = (40, 200)
    idle: tuple[int, int] = (5000, 1000)
    killed: int = 200
    answer: tuple[int, int] = (16_000, 4_000)
    messages: int = 1000
    pages: tuple[str, ...] = ()


FULL: Final = Scale()
QUICK: Final = Scale(1, 0.5, 2.0, 1.0, (100, 500), (40,), (500, 200), 100, (16_000, 1_000))
TINY: Final = Scale(1, 0.1, 0.5, 0.3, (20,), (5,), (20, 20), 20, (300, 100), 80)


class Figure(Struct, frozen=True, kw_only=True):
    """One number.

    Attributes:
        name: what it is.
        values: one of each repetition; the figure is their median.
        unit: `x` for ratios.
        target: what it should not be above; None where there is none.
        more_is_better: the target is what it should not be below.
        noise: the share of the measured cores that others used meanwhile.
    """

    name: str
    values: Sequence[float]
    unit: str = "x"
    target: float | None = None
    more_is_better: bool = False
    noise: float | None = None

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        met = self.value >= self.target if self.more_is_better else self.value <= self.target
        return "met" if met else "NOT MET"


class Outcome(Struct, frozen=True, kw_only=True):
    """What a subcommand found.

    Attributes:
        faults: sentences about what must never be: chunks lost or doubled.
        raw: every measurement.
    """

    name: str
    figures: Sequence[Figure]
    faults: Sequence[str] = ()
    raw: Sequence[Any] = ()


def show(outcome: Outcome) -> None:
    """Print an outcome as a table."""
    print(f"\n{outcome.name}")
    width = max(len(figure.name) for figure in outcome.figures)
    for figure in outcome.figures:
        limit = ">=" if figure.more_is_better else "<="
        target = "" if figure.target is None else f"{limit} {_number(figure.target)} {figure.unit}"
        spread = ""
        if len(figure.values) > 1:
            spread = f"{_number(min(figure.values))}..{_number(max(figure.values))}"
        noise = "" if figure.noise is None else f"others {figure.noise:4.0%}"
        value = f"{_number(figure.value)} {figure.unit}"
        print(
            f"  {figure.name:<{width}}  {value:>13}  {spread:>15}  {target:>13}  "
            f"{figure.verdict:<7}  {noise}".rstrip()
        )
    for fault in outcome.faults:
        print(f"  FAULT: {fault}")
    if not outcome.faults:
        print("  No chunk was lost or doubled.")


def keep(outcome: Outcome, folder: Path) -> Path:
    """Write an outcome into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{outcome.name}.json"
    content = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": _machine(),
        "outcome": outcome,
        "medians": {figure.name: round(figure.value, 4) for figure in outcome.figures},
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    return path


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
