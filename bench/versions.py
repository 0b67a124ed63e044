"""`versions`: this working copy beside another one, in turns, in one run.

`python -m bench versions --against FOLDER`. FOLDER is a working copy of an earlier commit with its
own environment. Servers of both are measured in turns by the same readers; each ratio is this one
divided by the other, made within a pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, TypeVar

from . import reader
from .load import RATE
from .processes import HERE, Checkout, server
from .redis import readers as redis_readers
from .redis.asking import ask
from .redis.servers import anywhere, site
from .report import Figure, Outcome, Scale
from .source import BRIEF

#: What a chunk may cost more than before: the measure's own spread.
CPU_TARGET: Final = 1.03

_FIRST_WORD: Final = b'"type":"text-delta"'
_QUESTIONS: Final = 200
_BETWEEN_SECONDS: Final = 0.02

T = TypeVar("T")


class _Load(NamedTuple):
    """What both kinds of load give."""

    cpu_per_chunk: float
    p50: float
    p99: float
    others: float
    faults: int


def run(scale: Scale, against: Path | None) -> Outcome:
    """Measure both.

    Raises:
        SystemExit: there is no other working copy, or no Redis.
    """
    if against is None:
        raise SystemExit("Name the other working copy: --against FOLDER")
    other = Checkout.at(against)
    figures: list[Figure] = []
    faults: list[str] = []
    for name, measure in _loads(scale):
        pairs = [_in_turns(measure, other, turn) for turn in range(scale.repeat)]
        figures += _of_loads(name, pairs)
        broken = sum(one.faults for pair in pairs for one in pair)
        if broken:
            faults.append(f"{name}: {broken} streams were not whole.")
    figures += _first_words(other, min(_QUESTIONS, int(_QUESTIONS * scale.window / 6)))
    return Outcome(name="versions", figures=figures, faults=faults)


def _loads(scale: Scale) -> Iterator[tuple[str, Callable[[Checkout], _Load]]]:
    for level in scale.levels:
        yield f"SQLite, {level} runs", partial(_sqlite, scale, level)
        yield f"Redis, {level} live readers", partial(_redis, scale, level, 0)
        yield f"Redis, {level} resumed readers", partial(_redis, scale, level, 1)


def _in_turns(measure: Callable[[Checkout], T], other: Checkout, turn: int) -> tuple[T, T]:
    if turn % 2:
        before = measure(other)
        return measure(HERE), before
    return measure(HERE), measure(other)


def _sqlite(scale: Scale, level: int, checkout: Checkout) -> _Load:
    with server("durable", {"BENCH_RATE": str(RATE)}, checkout=checkout) as running:
        found = reader.measure(running, level, scale.warm_up, scale.window)
    p50, _, p99, _ = found.latencies
    return _Load(found.cpu_per_chunk, p50, p99, found.foreign, found.faults + found.closed)


def _redis(scale: Scale, level: int, followers: int, checkout: Checkout) -> _Load:
    with site("ours", followers=followers, checkout=checkout) as there:
        (found,) = redis_readers.measure(
            there, (level,), warm_up=scale.warm_up, window=scale.window
        )
    p50, _, p99, _ = found.latencies
    return _Load(found.cpu_per_chunk, p50, p99, found.others, found.faults)


def _of_loads(name: str, pairs: Sequence[tuple[_Load, _Load]]) -> Iterator[Figure]:
    noise = max(one.others for pair in pairs for one in pair)
    yield Figure(
        name=f"{name}: CPU per chunk, this / the other",
        values=[this.cpu_per_chunk / other.cpu_per_chunk for this, other in pairs],
        target=CPU_TARGET,
        noise=noise,
    )
    for which, side in enumerate(("this", "the other")):
        loads = [pair[which] for pair in pairs]
        for what, values, unit in (
            ("CPU per chunk", [load.cpu_per_chunk for load in loads], "us"),
            ("latency, p50", [load.p50 for load in loads], "ms"),
            ("latency, p99", [load.p99 for load in loads], "ms"),
        ):
            yield Figure(name=f"{name}: {what}, {side}", values=values, unit=unit)


def _first_words(other: Checkout, questions: int) -> Iterator[Figure]:
    """The time from a question in a new chat to its first word, on Redis, in turns."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(site("ours", places=anywhere(), checkout=checkout))
            for checkout in (HERE, other)
        ]
        servers = [there.writers[0] for there in sites]
        cookies = [ask(server, "first", BRIEF, b"", until=_FIRST_WORD).cookie for server in servers]
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(questions):
            for which in (0, 1) if number % 2 else (1, 0):
                time.sleep(_BETWEEN_SECONDS)
                chat, cookie = f"chat-{number}", cookies[which]
                asked = ask(servers[which], chat, BRIEF, cookie, until=_FIRST_WORD)
                times[which].append(asked.seconds * 1000)
    halves = [median(each) for each in times]
    what = "Redis, first word of a new chat, p50"
    yield Figure(name=f"{what}, this / the other", values=[halves[0] / halves[1]])
    for side, value in zip(("this", "the other"), halves, strict=True):
        yield Figure(name=f"{what}, {side}", values=[value], unit="ms")
