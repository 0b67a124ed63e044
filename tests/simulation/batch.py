"""Lives through a range of histories and prints what became of them as JSON.

    python -m tests.simulation.batch STORE FIRST COUNT
    python -m tests.simulation.batch STORE SEED replay < NAMES

The second form lives through one, in which only what is named on standard input happens (a JSON
list, or null for everything), and prints its outcome.

    python -m tests.simulation.batch STORE SEED,SEED,... whole

The third form lives through several in that order, and prints the outcome of each, with its logs.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections import Counter
from typing import NoReturn

import msgspec

from .history import Outcome, run
from .hunting import Report


def main() -> NoReturn:
    """See above. However it ends, nothing of the dead is finalized."""
    status = 1
    try:
        logging.disable(logging.CRITICAL)  # the product tells its operator of every fault
        sys.stdout.buffer.write(_output(*sys.argv[1:]))
        sys.stdout.flush()
        status = 0
    except BrokenPipeError:
        pass  # nobody waits for it any more
    except BaseException:  # noqa: BLE001 - it is told, then everything ends
        traceback.print_exc()
    finally:
        os._exit(status)


def _output(store: str, number: str, what: str) -> bytes:
    if what == "replay":
        only = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str] | None)
        return msgspec.json.encode(run(int(number), store, only))
    if what == "whole":
        seeds = map(int, number.split(","))
        return msgspec.json.encode([run(seed, store, with_logs=True) for seed in seeds])
    return msgspec.json.encode(portion(store, int(number), int(what)))


def portion(store: str, first: int, count: int) -> Report:
    """Live through seeds one after the other, until one breaks a promise."""
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


def decoded(output: bytes) -> Outcome:
    """An outcome that was printed."""
    return msgspec.json.decode(output, type=Outcome)


if __name__ == "__main__":
    main()
