"""Runs a range of histories and prints what became of them as JSON.

    python -m tests.simulation.batch STORE FIRST COUNT
    python -m tests.simulation.batch STORE SEED replay < NAMES

The second form runs the seed once for each line of its input. A line is a JSON list of the faults
that may happen, or null for all of them. It prints an outcome for each.

    python -m tests.simulation.batch STORE SEED,SEED,... whole

The third form runs several seeds in that order, and prints the outcome of each, with its logs.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections import Counter
from typing import NoReturn

import msgspec

from .history import run
from .hunting import Report


def main() -> NoReturn:
    """See above. However it ends, nothing of the dead processes is finalized."""
    status = 1
    try:
        logging.disable(logging.CRITICAL)  # the product logs every fault
        sys.stdout.buffer.write(_output(*sys.argv[1:]))
        sys.stdout.flush()
        status = 0
    except BrokenPipeError:
        pass  # no task waits for it
    except BaseException:  # noqa: BLE001 - it is reported, then everything ends
        traceback.print_exc()
    finally:
        os._exit(status)


def _output(store: str, number: str, what: str) -> bytes:
    if what == "replay":
        for line in sys.stdin.buffer:
            only = msgspec.json.decode(line, type=list[str] | None)
            sys.stdout.buffer.write(msgspec.json.encode(run(int(number), store, only)) + b"\n")
            sys.stdout.flush()
        return b""
    if what == "whole":
        seeds = map(int, number.split(","))
        return msgspec.json.encode([run(seed, store, with_logs=True) for seed in seeds])
    return msgspec.json.encode(batch(store, int(number), int(what)))


def batch(store: str, first: int, count: int) -> Report:
    """Run seeds one after the other, until one breaks a promise."""
    report = Report()
    counts: Counter[str] = Counter()
    figures: Counter[str] = Counter()
    for seed in range(first, first + count):
        outcome = run(seed, store)
        counts.update(outcome.counts)
        figures.update(outcome.figures)
        report.histories[store] = seed - first + 1
        if outcome.breach is not None:
            report.failed.append((store, seed, outcome.breach))
            break
    report.counts, report.figures = counts, figures
    return report


if __name__ == "__main__":
    main()
