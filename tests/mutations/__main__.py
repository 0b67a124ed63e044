"""`make mutants`: plant every defect, one at a time, and see each of them caught."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .catching import Catch, Unsound, by_tests, by_the_simulator, see_that_it_is_used
from .defect import AnchorMoved, Defect, copy_sources, plant
from .defects import DEFECTS
from .report import Verdict, keep, table

_STORES = ("sqlite", "redis")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for. Returns the exit status."""
    options = _options(arguments)
    try:
        return _prove(options)
    except Unsound as error:
        print(f"The proof went wrong: {error}", file=sys.stderr)
        return 1


def _prove(options: argparse.Namespace) -> int:
    if options.list:
        print("\n".join(f"{defect.id:32} {defect.slip}" for defect in DEFECTS.values()))
        return 0
    chosen = [DEFECTS[name] for name in options.ids] or list(DEFECTS.values())
    with _folder() as folder, ThreadPoolExecutor(options.jobs) as pool:
        sound = copy_sources(folder / "sound")
        if not options.no_control:
            print("First the product as it is: nothing may be found there.", flush=True)
            if found := _control(pool, sound, chosen, options.seeds):
                print(f"Without any defect: {found.by}: {found.promise} {found.how}")
                return 1
        verdicts = []
        for verdict in pool.map(lambda defect: judge(defect, sound, options.seeds), chosen):
            verdicts.append(verdict)
            print(verdict.line(), flush=True)
    print(table(verdicts, options.seeds))
    if any(verdict.catch is None for verdict in verdicts):
        return 1
    if options.keep and not (options.ids or options.no_control):
        keep(verdicts, options.seeds)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants", description="Plant defects in the product and see each of them caught."
    )
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="only these defects (default: all)")
    add("--seeds", type=_count, default=100, help="of the simulator, on each store (default 100)")
    add("--jobs", type=_count, default=2, help="defects at a time (default 2)")
    add("--keep", action="store_true", help="write results.json, after a whole proof")
    add("--no-control", action="store_true", help="do not look at the product without a defect")
    add("--list", action="store_true", help="name the defects")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.ids if name not in DEFECTS]:
        parser.error(f"no such defect: {', '.join(unknown)} (--list names them)")
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dls-mutants-") as name:
        yield Path(name).resolve()


def _control(pool: Executor, sound: Path, defects: Sequence[Defect], seeds: int) -> Catch | None:
    """What is found where there is no defect: else it would be nothing to find one there."""
    see_that_it_is_used(sound)
    tests = sorted({test for defect in defects for test in defect.tests})
    looking = [pool.submit(by_the_simulator, sound, (store,), seeds) for store in _STORES]
    looking.append(pool.submit(by_tests, sound, tests))
    return next((catch for look in looking if (catch := look.result()) is not None), None)


def judge(defect: Defect, sound: Path, seeds: int) -> Verdict:
    """Plant a defect and look for it.

    Args:
        defect: the defect.
        sound: what `copy_sources` returned.
        seeds: of the simulator, on each store.
    """
    with _folder() as folder:
        try:
            whole = plant(defect, sound, folder / "defective")
            see_that_it_is_used(whole)
            catch = by_the_simulator(whole, defect.stores, seeds) or by_tests(whole, defect.tests)
        except (AnchorMoved, Unsound) as error:
            return Verdict(defect, None, str(error))
        return Verdict(defect, catch, "" if catch else "nobody has noticed it")


if __name__ == "__main__":
    sys.exit(main())
