"""Writes into a store as fast as it can and prints what was acknowledged, until it is killed.

    python -m tests.sqlite_writer PATH

Lines: `appended` or `ended`, the run, how many records stand in its log.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from durable_llm_streams.model import Claim, Status
from durable_llm_streams.store import Append, Ending, Order
from durable_llm_streams.stores.sqlite import SQLiteStore

LAST = b'{"type":"finish"}'


def say(what: str, run_id: str, count: int) -> None:
    os.write(1, f"{what} {run_id} {count}\n".encode())


async def start(store: SQLiteStore, number: int) -> Claim:
    sent = await store.send(
        Order(
            owner="ann", chat_id=f"c{number}", place="follow", run_id=f"r{number}",
            answer_id=f"a{number}", model="demo", now=number, message_id="m", worker="w", lease=1e6,
        )
    )  # fmt: skip
    assert sent.claim is not None
    return sent.claim


async def main(path: Path) -> None:
    store = SQLiteStore(path)
    numbers = itertools.count(len(await store.runs(limit=100_000)))
    claims = list(await store.claim("w", 2, 1e6))
    claims += [await start(store, next(numbers)) for _ in range(2 - len(claims))]
    lengths = {claim.run.id: claim.next_seq - 1 for claim in claims}
    for step in itertools.count(1):
        batch = []
        for n, claim in enumerate(claims):
            at = lengths[claim.run.id] + 1
            new = [
                b'{"n":%d,"_":"%s"}' % (seq, b"-" * (step % 97))
                for seq in range(at, at + 1 + 3 * n)
            ]
            batch.append(Append(claim.run.id, claim.epoch, at, new))
        assert all(await store.append(batch))
        for item in batch:
            lengths[item.run_id] += len(item.records)
            say("appended", item.run_id, lengths[item.run_id])
        if step % 30 == 0:
            claim = claims.pop()
            at = lengths[claim.run.id] + 1
            await store.end(
                Ending(claim.run.id, claim.epoch, at, [LAST], Status.FINISHED, b"{}", step)
            )
            say("ended", claim.run.id, at)
            claims.append(await start(store, next(numbers)))
            lengths[claims[-1].run.id] = 0


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
