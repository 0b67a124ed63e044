"""`limits`: what limits cost a message, and whether they hold from several processes.

In this process, from the call of the store to its reply: messages without charges and with five
of them in turn, on a file and on a Redis of its own. Then four processes send twice as many
messages as a limit allows, again and again: exactly the limit must be accepted each time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import structs

from durable_llm_streams.model import EVERYBODY, Charge
from durable_llm_streams.store import Store
from durable_llm_streams.stores import SQLiteStore, open_store
from tests.limits_sender import order, rounds
from tests.redis_servers import RedisServer

from .report import TINY, Figure, Outcome, Scale

TARGET_MS = 0.1
ROUNDS: Final = 100
LIMIT: Final = 20

_MESSAGES = 2000
_HIGH = 10**9
_DAY = 24 * 3600.0


def run(scale: Scale) -> Outcome:
    """Measure the cost on both stores, then count what passes."""
    tiny = scale.messages == TINY.messages
    messages, times = (50, 3) if tiny else (_MESSAGES, ROUNDS)
    return asyncio.run(_run(scale.repeat, messages, times))


async def _run(repeat: int, messages: int, times: int) -> Outcome:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SQLiteStore(Path(folder) / "chats.db")
        figures += await _costs("SQLite", sqlite, repeat, messages)
        await sqlite.close()
        async with RedisServer(Path(folder)) as server:
            redis = open_store(server.url)
            await redis.open()
            figures += await _costs("Redis", redis, repeat, messages)
            await redis.close()
            totals = await rounds(f"{server.url}?prefix=rounds", times, LIMIT)
    wrong = [total for total in totals if total != LIMIT]
    figures.append(
        Figure(
            name=f"rounds of {times} in which four processes passed {LIMIT} of {2 * LIMIT}",
            values=[times - len(wrong)],
            unit="rounds",
            target=times,
            more_is_better=True,
        )
    )
    faults = [f"A limit of {LIMIT} passed {total} messages." for total in wrong]
    return Outcome(name="limits", figures=figures, faults=faults)


async def _costs(name: str, store: Store, repeat: int, messages: int) -> list[Figure]:
    """The median of a send without charges, and what five of them add to it."""
    without: list[float] = []
    added: list[float] = []
    for number in range(repeat):
        plain: list[float] = []
        charged: list[float] = []
        for message in range(messages):  # in turn, so that both see the same store and machine
            plain.append(await _send(store, f"plain-{number}-{message}", ()))
            owner = f"owner-{number}-{message % 100}"
            charged.append(await _send(store, owner, _five(owner)))
        without.append(median(plain))
        added.append(median(charged) - median(plain))
    return [
        Figure(name=f"{name}: a message, p50", values=without, unit="ms"),
        Figure(
            name=f"{name}: five charges add to it, p50", values=added, unit="ms", target=TARGET_MS
        ),
    ]


async def _send(store: Store, owner: str, charges: tuple[Charge, ...]) -> float:
    """Milliseconds of one message. Some of the charges are its reservation."""
    sent = structs.replace(order(owner, 1), charges=charges[:2], reservation=charges[2:])
    begun = time.perf_counter()
    await store.runs.send(sent)
    return (time.perf_counter() - begun) * 1000


def _five(owner: str) -> tuple[Charge, ...]:
    kinds = (("messages", owner), ("sends", EVERYBODY), ("tokens", owner), ("cost", owner))
    charges = [Charge(kind, of, 1.5, _HIGH, _DAY) for kind, of in kinds]
    return (*charges, Charge("budget", EVERYBODY, 4100, _HIGH, _DAY))
