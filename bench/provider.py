"""`provider`: the whole way from a model's socket to a reader's, against the usual stack.

The usual stack stores nothing: FastAPI, StreamingResponse and the openai SDK, in one process, with
this package's server settings. Both read from the same kind of token server.
"""

from __future__ import annotations

from importlib.util import find_spec
from statistics import median

from .load import RATE
from .processes import server, token_server
from .reader import Measured, measure
from .report import Figure, Outcome, Scale
from .tokens import PLAIN, TIMED

TARGET = 0.5


def run(scale: Scale) -> Outcome:
    """Measure every level."""
    if find_spec("openai") is None:
        raise SystemExit("The openai package is needed to compare with; `make bench` brings it.")
    figures: list[Figure] = []
    faults: list[str] = []
    raw: list[dict[str, object]] = []
    for level in scale.provider:
        pairs = [_pair(scale, level, first=turn % 2) for turn in range(scale.repeat)]
        for ours, usual in pairs:
            for name, one in (("durable", ours), ("openai SDK", usual)):
                raw.append({"server": name, "runs": level, "measured": _summary(one)})
                if one.faults or one.closed or not one.chunks:
                    faults.append(f"{level} runs, {name}: {one.faults} streams were not whole.")
        noise = median(max(one.foreign for one in pair) for pair in pairs)
        at = f"{level} runs: "
        ratios = [ours.cpu_per_chunk / usual.cpu_per_chunk for ours, usual in pairs]
        figures += [
            Figure(
                name=at + "CPU per chunk, durable / usual stack",
                values=ratios,
                target=TARGET,
                noise=noise,
            ),
            *(
                Figure(name=at + name, values=values, unit=unit, noise=noise)
                for name, values, unit in (
                    ("CPU per chunk, durable", [d.cpu_per_chunk for d, _ in pairs], "us"),
                    ("CPU per chunk, usual stack", [u.cpu_per_chunk for _, u in pairs], "us"),
                    ("latency p50, durable", [d.latencies[0] for d, _ in pairs], "ms"),
                    ("latency p50, usual stack", [u.latencies[0] for _, u in pairs], "ms"),
                    ("chunks delivered / made, durable", _kept_up(level, pairs, 0), "x"),
                    ("chunks delivered / made, usual stack", _kept_up(level, pairs, 1), "x"),
                )
            ),
        ]
    return Outcome(name="provider", figures=figures, faults=faults, raw=raw)


def _pair(scale: Scale, level: int, *, first: int) -> tuple[Measured, Measured]:
    found: dict[str, Measured] = {}
    kinds = (("provider", scale.window), ("sdk", scale.short))
    for kind, window in kinds if first == 0 else kinds[::-1]:
        with token_server(RATE) as url:
            settings = {"OPENAI_BASE_URL": url, "DLS_MODEL": PLAIN, "DLS_MODELS": TIMED}
            with server(kind, settings) as running:
                found[kind] = measure(running, level, scale.warm_up, window)
    return found["provider"], found["sdk"]


def _kept_up(level: int, pairs: list[tuple[Measured, Measured]], which: int) -> list[float]:
    return [pair[which].chunks_per_second / level / RATE for pair in pairs]


def _summary(one: Measured) -> dict[str, object]:
    return {
        "chunks_per_second": round(one.chunks_per_second),
        "cpu_us_per_chunk": round(one.cpu_per_chunk, 2),
        "latency_ms": one.latencies,
        "streams_begun": one.begun,
        "reader_core": round(one.reader_cpu / one.used.at, 3),
        "others_on_the_servers_core": round(one.foreign, 3),
    }
