"""`load`: what durability costs under load, against a server that stores nothing.

Pairs of one measurement each, one after the other, the first of them in turn; a ratio is made
within a pair.
"""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from durable_llm_streams import chunks

from .processes import server
from .reader import Measured, measure
from .report import Figure, Outcome, Scale
from .tokens import token

RATE = 50
_AS_EXPECTED = 0.95


class Target(NamedTuple):
    """The targets at a number of runs: CPU ratio; added p50 and p99; p99 itself (milliseconds)."""

    cpu: float | None = None
    added_half: float | None = None
    added_nearly: float | None = None
    nearly: float | None = None


TARGETS = {
    100: Target(added_half=2.0),
    500: Target(cpu=1.3, added_half=1.0, added_nearly=5.0),
    1000: Target(cpu=1.1, nearly=60.0),
    2000: Target(cpu=1.0, nearly=150.0),
}
BYTES_TARGET = 8.0


def run(scale: Scale) -> Outcome:
    """Measure every level."""
    figures: list[Figure] = []
    faults: list[str] = []
    raw: list[dict[str, object]] = []
    for level in scale.levels:
        pairs = [_pair(scale, level, first=turn % 2) for turn in range(scale.repeat)]
        for durable, passing in pairs:
            for name, one in (("durable", durable), ("passing through", passing)):
                raw.append({"server": name, "runs": level, "measured": _short(one)})
                if one.faults or one.closed or not one.chunks:
                    faults.append(
                        f"{level} runs, {name}: {one.faults} streams were not whole, "
                        f"{one.closed} were closed."
                    )
        figures += _figures(level, pairs)
    return Outcome(name="load", figures=figures, faults=faults, raw=raw)


def _pair(scale: Scale, level: int, *, first: int) -> tuple[Measured, Measured]:
    found: dict[str, Measured] = {}
    kinds = (("durable", scale.window), ("passing", scale.short))
    for kind, window in kinds if first == 0 else kinds[::-1]:
        with server(kind, {"BENCH_RATE": str(RATE)}) as running:
            found[kind] = measure(running, level, scale.warm_up, window)
    return found["durable"], found["passing"]


def _figures(level: int, pairs: list[tuple[Measured, Measured]]) -> list[Figure]:
    target = TARGETS.get(level, Target())
    noise = median(max(one.foreign for one in pair) for pair in pairs)
    half, nearly = 0, 2
    at = f"{level} runs: "

    def figure(
        name: str, values: list[float], unit: str = "x", target: float | None = None
    ) -> Figure:
        return Figure(name=at + name, values=values, unit=unit, target=target, noise=noise)

    durables = [durable for durable, _ in pairs]
    passings = [passing for _, passing in pairs]
    added = [
        [d.latencies[share] - p.latencies[share] for d, p in pairs] for share in (half, nearly)
    ]
    found = [
        figure(
            "CPU per chunk, durable / passing through",
            [d.cpu_per_chunk / p.cpu_per_chunk for d, p in pairs],
            target=target.cpu,
        ),
        figure("CPU per chunk, durable", [d.cpu_per_chunk for d in durables], "us"),
        figure("added latency, p50", added[0], "ms", target.added_half),
        figure("added latency, p99", added[1], "ms", target.added_nearly),
        figure("latency, p50", [d.latencies[half] for d in durables], "ms"),
        figure("latency, p99", [d.latencies[nearly] for d in durables], "ms", target.nearly),
        figure("  passing through, p99", [p.latencies[nearly] for p in passings], "ms"),
        figure("chunks delivered / made", [d.chunks_per_second / level / RATE for d in durables]),
        figure("the readers' own core", [d.reader_cpu / d.used.at for d in durables], "cores"),
    ]
    if level == 500:
        found.append(
            figure(
                "bytes to disk per byte of payload",
                [d.used.written[0] / (d.chunks * mean_record(d)) for d in durables],
                target=BYTES_TARGET,
            )
        )
    return found


def mean_record(measured: Measured) -> float:
    """About how many bytes of a log a chunk is: most streams carry no times."""
    last = round(median(measured.last.values()))
    head = len(chunks.delta_prefix("text", "p1") + b"}")
    return head + sum(len(chunks.encode(token(n))) for n in range(1, last + 1)) / max(1, last)


def _short(one: Measured) -> dict[str, object]:
    return {
        "chunks_per_second": round(one.chunks_per_second),
        "cpu_us_per_chunk": round(one.cpu_per_chunk, 2),
        "latency_ms": one.latencies,
        "reads_per_chunk": round(one.reads / max(1, one.chunks), 3),
        "server_core": round(one.used.cpu / one.used.at, 3),
        "streams_begun": one.begun,
        "reader_core": round(one.reader_cpu / one.used.at, 3),
        "others_on_the_servers_core": round(one.foreign, 3),
        "disk_bytes": one.used.written[0],
    }
