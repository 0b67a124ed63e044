"""`python -m bench`: measure, print ratios beside their targets, keep the results."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import catchup, edge, kill, limits, load, memory, provider, versions
from .processes import raise_file_limit
from .redis import run as redis
from .redis import sizes
from .report import FULL, QUICK, RESULTS, TINY, Outcome, Scale, keep, show
from .rolling import run as rolling
from .rolling import sizes as rolling_sizes
from .web import run as web

SUBCOMMANDS: dict[str, Callable[[Scale], Outcome]] = {
    "load": load.run,
    "provider": provider.run,
    "catchup": catchup.run,
    "memory": memory.run,
    "kill": kill.run,
    "edge": edge.run,
    "limits": limits.run,
    "web": web.run,
}
REDIS, ROLLING = "redis", "rolling"  # have sizes of their own
VERSIONS = "versions"  # needs another working copy


def main() -> int:
    """Run what the arguments name. Returns 1 if a chunk was lost or doubled."""
    arguments = _arguments().parse_args()
    scale: Scale = TINY if arguments.tiny else QUICK if arguments.quick else FULL
    if arguments.repeat:
        scale = scale._replace(repeat=arguments.repeat)
    if arguments.runs:
        levels = tuple(arguments.runs)
        scale = scale._replace(levels=levels, provider=levels)
    if arguments.pages:
        scale = scale._replace(pages=tuple(arguments.pages))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    raise_file_limit()
    begun = time.monotonic()
    faults = 0
    folder = arguments.results or (RESULTS if arguments.save else RESULTS / "latest")
    for name in arguments.what or (*SUBCOMMANDS, REDIS, ROLLING):
        if name == REDIS:
            outcome = redis.run(_redis_size(arguments), arguments.parts or ())
        elif name == ROLLING:
            outcome = rolling.run(_rolling_size(arguments))
        elif name == VERSIONS:
            outcome = versions.run(scale, arguments.against)
        else:
            outcome = SUBCOMMANDS[name](scale)
        path = keep(outcome, folder)
        if arguments.json:
            print(path.read_text(), end="")
        else:
            show(outcome)
            print(f"  ({path})")
        faults += len(outcome.faults)
    print(f"\n{time.monotonic() - begun:.0f} s", file=sys.stderr if arguments.json else sys.stdout)
    return 1 if faults else 0


def _redis_size(arguments: argparse.Namespace) -> sizes.Size:
    size = sizes.TINY if arguments.tiny else sizes.QUICK if arguments.quick else sizes.FULL
    if arguments.repeat:
        size = size._replace(repeat=arguments.repeat)
    if arguments.runs:
        size = size._replace(levels=tuple(arguments.runs))
    return size


def _rolling_size(arguments: argparse.Namespace) -> rolling_sizes.Size:
    sizes = rolling_sizes
    size = sizes.TINY if arguments.tiny else sizes.QUICK if arguments.quick else sizes.FULL
    if arguments.repeat:
        size = size._replace(repeat=arguments.repeat)
    if arguments.runs:
        size = size._replace(readers=arguments.runs[0])
    return size


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        choices=[*SUBCOMMANDS, REDIS, ROLLING, VERSIONS, []],
        help="if none is named: all but versions",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, in a minute")
    parser.add_argument("--tiny", action="store_true", help="only whether it works, in seconds")
    parser.add_argument("--save", action="store_true", help="keep the results for a commit")
    parser.add_argument("--results", type=Path, help="the folder for the results instead")
    parser.add_argument("--repeat", type=int, help="how often each pair is measured")
    parser.add_argument("--runs", type=int, nargs="+", help="numbers of runs instead of the usual")
    parser.add_argument("--pages", choices=web.PAGES, nargs="+", help="these measurements of web")
    parser.add_argument(
        "--parts", choices=redis.PARTS, nargs="+", default=(), help="those of redis"
    )
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="another working copy, for versions"
    )
    parser.add_argument("--json", action="store_true", help="print what is kept, not the tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
