"""Kill, freeze and cut off real servers while owners ask, read, stop and edit. Compare everything
that was received with the logs in the store. The status is 0 if every promise held, and 2 if it
could not run. It is 1 if a promise was broken: logs and stores are kept, their folder is printed.

    python -m tests.crash                              100 kills, half over Redis, half over SQLite
    python -m tests.crash --store all --kills 240      60 each: Redis, SQLite, Sentinel, Cluster
    python -m tests.crash --store cluster --seed 7     other faults and chats
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.crash.campaign import Campaign, Options
from tests.crash.provider import provider_process
from tests.crash.report import Outcome, table, write
from tests.crash.stores import KINDS
from tests.crash.zygote import Zygote
from tests.redis_servers import find_redis

_SETS = {"both": ("redis", "sqlite"), "all": KINDS}

_PROGRESS_SECONDS = 30
_AT_ONCE = 2  # campaigns; more of them only wait for each other


class CannotRunError(Exception):
    """Something that is needed is missing. The sentence says what to do."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what the arguments name, the command line's unless some are given.

    Returns the exit status.
    """
    arguments = _arguments().parse_args(words)
    try:
        stores = _stores(arguments)
        _check_report(arguments.report)
    except CannotRunError as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    logging.basicConfig(level=logging.ERROR)  # a store's warnings are expected here
    folder = Path(tempfile.mkdtemp(prefix="dls-crash-"))
    try:
        outcomes = asyncio.run(_run(arguments, stores, folder))
    except KeyboardInterrupt:
        print(f"Interrupted; logs and stores are in {folder}", file=sys.stderr)
        return 130
    except BaseException:
        print(f"It broke off; logs and stores are in {folder}", file=sys.stderr)
        raise
    print(table(outcomes))
    if arguments.report is not None:
        options = {name: getattr(arguments, name) for name in _OPTIONS}
        write(arguments.report, options, [each.as_json() for each in outcomes])
    wrong = [text for outcome in outcomes for text in outcome.wrong]
    if wrong:
        print(f"\nBroken with --seed {arguments.seed}; logs and stores are in {folder}\n")
        print("\n\n".join(wrong))
        return 1
    shutil.rmtree(folder)
    return 0


def _stores(arguments: argparse.Namespace) -> Sequence[str]:
    stores = _SETS.get(arguments.store, (arguments.store,))
    if stores != ("sqlite",) and find_redis() is None:
        raise CannotRunError(
            "There is no redis-server: install it (apt-get install redis-server), name one in "
            "DLS_REDIS_SERVER, or use --store sqlite."
        )
    return stores


def _check_report(path: Path | None) -> None:
    """Say before the campaign, and not after it, that its report could not be written."""
    if path is None:
        return
    try:
        if path.exists() and "counts" not in json.loads(path.read_bytes()):
            raise CannotRunError(f"{path} is not the report of a campaign; name another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
    except (TypeError, ValueError) as error:
        what = f"{path} is damaged ({error}); remove it, or name another file."
        raise CannotRunError(what) from None
    except OSError as error:
        raise CannotRunError(f"The report {path} cannot be written: {error.strerror}.") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CannotRunError(f"The report {path} cannot be written.")


async def _run(arguments: argparse.Namespace, stores: Sequence[str], folder: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    async with Zygote() as zygote, provider_process(arguments.seed) as provider:
        for begin in range(0, len(stores), _AT_ONCE):
            campaigns = [
                Campaign(
                    Options(
                        store=store,
                        seed=arguments.seed,
                        folder=folder / store,
                        kills=arguments.kills // len(stores),
                        seconds=arguments.seconds,
                        every=arguments.every,
                    ),
                    zygote,
                    provider,
                )
                for store in stores[begin : begin + _AT_ONCE]
            ]
            outcomes += await run_together(campaigns)
    return outcomes


async def run_together(campaigns: Sequence[Campaign]) -> list[Outcome]:
    """Run campaigns at once; print how far they are, and each violation when it is found."""
    progress = _Progress(campaigns)
    printing = asyncio.create_task(progress.print_all())
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(campaign.run()) for campaign in campaigns]
    finally:
        printing.cancel()
        progress.print_violations()  # also when it is interrupted: nothing that was found is lost
    return [each.result() for each in running]


class _Progress:
    """How far campaigns are, and what they found, on standard error."""

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self._campaigns = campaigns
        self._printed: set[str] = set()

    async def print_all(self) -> None:
        for seconds in itertools.count(1):
            await asyncio.sleep(1)
            self.print_violations()
            if seconds % _PROGRESS_SECONDS == 0:
                print(" · ".join(each.progress() for each in self._campaigns), file=sys.stderr)

    def print_violations(self) -> None:
        for campaign in self._campaigns:
            for text in campaign.wrong:
                if text not in self._printed:
                    self._printed.add(text)
                    print(f"\nFound over {campaign.store}:\n{text}\n", file=sys.stderr)


_OPTIONS = ("store", "seed", "kills", "seconds", "every")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store",
        choices=[*KINDS, *_SETS],
        default="both",
        help="both: redis and sqlite (the default); all: the four",
    )
    parser.add_argument("--seed", type=int, default=1, help="draws faults and chats (1)")
    parser.add_argument("--report", type=Path, help="write the counts to this file, as JSON")
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs to servers, in all (100)")
    parser.add_argument("--seconds", type=float, default=24 * 3600.0, help="end it after so long")
    parser.add_argument(
        "--every", type=float, default=0.7, help="seconds between faults, per store (0.7)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
