"""`python -m tests.crash`: kill servers until it is enough, and say what came of it.

    python -m tests.crash --store both --kills 2000 --seed 1 --report tests/crash/results/kills.json
    python -m tests.crash races --count 10000 --report tests/crash/results/races.json

The status is 1 if a promise was broken. Then the logs and the stores are kept; the folder is
printed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.crash.campaign import Campaign, Options
from tests.crash.provider import provider_process
from tests.crash.races import racing
from tests.crash.report import Outcome, table, write
from tests.crash.zygote import Zygote
from tests.redis_servers import find_redis

STORES = ("redis", "sqlite")

_NO_REDIS = (
    "Redis is needed: apt-get install redis-server, or set DLS_REDIS_SERVER to it. "
    "Without it there is --store sqlite."
)
_PROGRESS_SECONDS = 30.0


def main() -> int:
    """Run what the arguments name. Returns 1 if a promise was broken."""
    arguments = _arguments().parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    logging.basicConfig(level=logging.ERROR)  # what a store says here is part of the storm
    stores = STORES if arguments.store == "both" else (arguments.store,)
    if "redis" in stores and find_redis() is None:
        sys.exit(_NO_REDIS)
    folder = Path(tempfile.mkdtemp(prefix="dls-crash-"))
    run = _races if arguments.what == "races" else _kills
    try:
        outcomes = asyncio.run(run(arguments, stores, folder))
    except BaseException:
        print(f"It broke off; logs and stores are in {folder}", file=sys.stderr)
        raise
    print(table(outcomes))
    if arguments.report is not None:
        names = ("what", "store", "seed", *_OPTIONS[arguments.what])
        options = {name: getattr(arguments, name) for name in names}
        write(arguments.report, options, [each.as_json() for each in outcomes])
    wrong = [text for outcome in outcomes for text in outcome.wrong]
    if wrong:
        print(f"\nBroken with --seed {arguments.seed}; logs and stores are in {folder}\n")
        print("\n\n".join(wrong))
        return 1
    shutil.rmtree(folder)
    return 0


async def _kills(
    arguments: argparse.Namespace, stores: Sequence[str], folder: Path
) -> list[Outcome]:
    async with Zygote() as zygote, provider_process(arguments.seed) as provider:
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
            for store in stores
        ]
        telling = asyncio.create_task(_tell(campaigns))
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(campaign.run()) for campaign in campaigns]
        finally:
            telling.cancel()
        return [each.result() for each in running]


async def _tell(campaigns: Sequence[Campaign]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        print(" · ".join(campaign.progress() for campaign in campaigns), file=sys.stderr)


async def _races(
    arguments: argparse.Namespace, stores: Sequence[str], folder: Path
) -> list[Outcome]:
    outcomes = []
    for store in stores:
        began = time.monotonic()
        async with racing(store, folder, arguments.seed) as races:
            await races.run(arguments.count // len(stores))
        races.tally["races of a stop against writes"] = races.count
        outcome = Outcome(store, races.head, races.tally, races.violations)
        outcome.seconds = time.monotonic() - began
        outcomes.append(outcome)
    return outcomes


_OPTIONS = {"kills": ("kills", "seconds", "every"), "races": ("count",)}


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=[*_OPTIONS], default="kills")
    parser.add_argument("--store", choices=[*STORES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="where to keep the report (JSON)")
    kills = parser.add_argument_group("kills")
    kills.add_argument("--kills", type=int, default=100, help="SIGKILLs to servers, in all")
    kills.add_argument("--seconds", type=float, default=24 * 3600.0, help="the longest storm")
    kills.add_argument("--every", type=float, default=0.7, help="seconds between faults, per store")
    races = parser.add_argument_group("races")
    races.add_argument("--count", type=int, default=10_000, help="races, in all")
    return parser


if __name__ == "__main__":
    sys.exit(main())
