"""`make hunt`: search for a history that breaks a promise."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .faults import KINDS
from .hunting import Report, hunt
from .report import explain
from .seeds import DamagedSeedFile, SeedFile
from .shrinking import Bounds

STORES = ("sqlite", "redis")

#: Where the campaign's figures are kept.
RESULTS = Path(__file__).parent / "results" / "campaign.json"
#: Where failing histories are left.
FOUND = Path("hunt")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    stores = STORES if options.store == "both" else (options.store,)
    try:
        if options.file is not None:
            return _from_file(options.file, _bounds(options))
        if options.seed is not None:
            bounds = _bounds(options)
            return max(_one(options.seed, store, None, bounds) for store in stores)
        return _many(stores, options)
    except DamagedSeedFile as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make hunt", description="Search for a history that breaks a promise."
    )
    add = parser.add_argument
    add("--seeds", type=_count, default=1000, help="how many seeds (default 1000)")
    add("--first", type=int, default=0, help="the first of them (default 0)")
    add("--fresh", action="store_true", help="begin at a seed that nobody has tried")
    add("--store", choices=(*STORES, "both"), default="both", help="on which store")
    add("--jobs", type=_count, default=os.cpu_count() or 1, help="processes at a time")
    add("--seed", type=int, help="only this one")
    add("--file", type=Path, help="only what this seed file holds")
    add("--tries", type=_count, default=400, help="histories that shrinking may take")
    add("--seconds", type=_count, default=600, help="seconds that shrinking may take")
    add("--keep", action="store_true", help=f"write the figures to {RESULTS.name}")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _bounds(options: argparse.Namespace) -> Bounds:
    return Bounds(options.tries, options.seconds)


def _from_file(path: Path, bounds: Bounds) -> int:
    kept = SeedFile.read(path)
    return _one(kept.seed, kept.store, kept.only, bounds)


def _one(seed: int, store: str, only: Sequence[str] | None, bounds: Bounds) -> int:
    keep_in = FOUND if only is None else None
    told = explain(seed, store, only=only, keep_in=keep_in, bounds=bounds)
    print(told or f"Seed {seed} on {store} breaks no promise.")
    return int(told is not None)


def _many(stores: Sequence[str], options: argparse.Namespace) -> int:
    first = time.time_ns() // 1_000_000 if options.fresh else options.first
    print(f"Seeds {first} to {first + options.seeds - 1} on {' and '.join(stores)}", flush=True)
    whole, began = Report(), time.monotonic()
    for report in hunt(stores, first, options.seeds, jobs=options.jobs):
        whole.add(report)
        if sys.stderr.isatty():
            print(
                f"\r{sum(whole.histories.values())} histories", end="", file=sys.stderr, flush=True
            )
    whole.seconds = time.monotonic() - began
    print(_table(whole))
    for store, seed, _ in sorted(whole.failed, key=lambda failure: failure[1])[:1]:
        print(f"\n{explain(seed, store, keep_in=FOUND, bounds=_bounds(options))}")
    if options.keep and not whole.failed:
        _keep(whole, first, options.seeds)
    return int(bool(whole.failed))


def _table(whole: Report) -> str:
    figures, counts, histories = (
        Counter(some) for some in (whole.figures, whole.counts, whole.histories)
    )
    each = ", ".join(f"{count:,} on {store}" for store, count in sorted(histories.items()))
    ends = ", ".join(f"{figures[end]:,} {end}" for end in ("finished", "stopped", "failed"))
    more = f"{figures['takeovers']:,} takeovers, {figures['records']:,} records"
    speed, turns = histories.total() / whole.seconds, figures["turns"] / whole.seconds
    lines = [
        f"Histories    {histories.total():>9,}   {each}",
        f"Violations   {len(whole.failed):>9,}",
        f"Answers      {figures['runs']:>9,}   {ends}; {more}",
        f"Speed        {speed:>9.1f}   histories a second, {turns:,.0f} turns a second",
        "",
        "What went wrong, and how often",
    ]
    for kind, meaning in KINDS.items():
        lines.append(f"  {counts[kind]:>9,}  {kind:<15} {meaning}")
    deeds = {kind: count for kind, count in counts.items() if kind not in KINDS}
    told = ", ".join(f"{kind} {count:,}" for kind, count in sorted(deeds.items()))
    return "\n".join([*lines, f"What clients did beside asking: {told or 'nothing'}"])


def _keep(whole: Report, first: int, seeds: int) -> None:
    faults = {kind: whole.counts.get(kind, 0) for kind in KINDS}
    kinds = sum(count > 0 for count in faults.values())
    figures = whole.figures
    kept: dict[str, Any] = {
        "command": f"make hunt SEEDS={seeds}" + (f" ARGS='--first {first}'" if first else ""),
        "counts": {
            **{f"histories on {store}": count for store, count in sorted(whole.histories.items())},
            f"faults, of {kinds} kinds": sum(faults.values()),
            "answers": figures["runs"],
            "takeovers": figures["takeovers"],
            "records compared": figures["records"],
            "promises broken": len(whole.failed),
        },
        "faults": faults,
        "figures": dict(sorted(figures.items())),
        "seconds": round(whole.seconds),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
