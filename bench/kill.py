"""`kill`: SIGKILL under load; how long opening the store takes, and whether all is there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from durable_llm_streams.log import read_all
from durable_llm_streams.stores import SQLiteStore

from .load import RATE
from .processes import server
from .reader import measure
from .report import Figure, Outcome, Scale
from .tokens import NUMBER

TARGET_MS = 250.0


def run(scale: Scale) -> Outcome:
    """Kill a server under load, open its store here, compare."""
    opening: list[float] = []
    faults: list[str] = []
    stored = seen = 0
    for _ in range(max(1, scale.repeat - 1)):
        with server("durable", {"BENCH_RATE": str(RATE)}) as running:
            load = measure(running, scale.killed, scale.warm_up, 1.6 * scale.window, kill=True)
            running.process.wait()
            if load.faults or load.closed != scale.killed:
                faults.append(f"{load.faults} streams were not whole before the kill.")
            milliseconds, logs = asyncio.run(_recovered(running.store, list(load.last)))
        opening.append(milliseconds)
        for run_id, numbers in logs.items():
            stored, seen = stored + len(numbers), seen + load.last[run_id]
            if numbers != list(range(1, len(numbers) + 1)):
                faults.append(f"The log of run {run_id} is not whole.")
            if len(numbers) < load.last[run_id]:
                missing = load.last[run_id] - len(numbers)
                faults.append(f"Run {run_id}: {missing} chunks were seen and are not stored.")
    at = f"SIGKILL at {scale.killed * RATE} chunks/s: "
    figures = [
        Figure(name=at + "opening the store", values=opening, unit="ms", target=TARGET_MS),
        Figure(name=at + "chunks seen / stored", values=[seen / max(1, stored)]),
    ]
    return Outcome(name="kill", figures=figures, faults=faults)


async def _recovered(path: Path, runs: list[str]) -> tuple[float, dict[str, list[int]]]:
    before = time.perf_counter()
    store = SQLiteStore(path)
    milliseconds = (time.perf_counter() - before) * 1000
    try:
        logs: dict[str, list[int]] = {}
        for run_id in runs:
            records, _ = await read_all(store.log, run_id)
            found = (NUMBER.search(record) for record in records)
            logs[run_id] = [int(match[1]) for match in found if match is not None]
        return milliseconds, logs
    finally:
        await store.close()
