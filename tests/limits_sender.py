"""A process that sends messages at a limit: `python -m tests.limits_sender REDIS COUNT LIMIT`.

For each owner that it reads, one on a line, it sends so many messages at once, and prints how many
were accepted.
"""

from __future__ import annotations

import asyncio
import sys

from durable_llm_streams.clock import wall_clock
from durable_llm_streams.errors import LimitReached
from durable_llm_streams.ids import new_id
from durable_llm_streams.model import Charge
from durable_llm_streams.store import Order, Store
from durable_llm_streams.stores import open_store

PROCESSES = 4


def order(owner: str, limit: int) -> Order:
    """A message to a chat of its own, at a limit for an hour."""
    now = wall_clock()
    return Order(
        owner=owner,
        chat_id=f"chat-{new_id(now)}",
        place="follow",
        run_id=new_id(now),
        answer_id=new_id(now),
        message_id="m1",
        body=b"{}",
        model="demo",
        now=now,
        charges=(Charge("messages", owner, 1, limit, 3600.0),),
    )


async def accepted(store: Store, owner: str, count: int, limit: int) -> int:
    """Send so many messages at once. Returns how many were accepted."""
    calls = [store.runs.send(order(owner, limit)) for _ in range(count)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, LimitReached):
            raise result
    return sum(not isinstance(result, LimitReached) for result in results)


async def rounds(redis: str, number: int, limit: int, *, processes: int = PROCESSES) -> list[int]:
    """How many messages are accepted in each round, of twice the limit from several processes.

    Args:
        redis: the address of the store.
        number: of rounds.
        limit: of messages in a round; twice that is a multiple of `processes`.
        processes: how many send at once.
    """
    command = (sys.executable, "-m", "tests.limits_sender", redis, str(2 * limit // processes))
    senders = [
        await asyncio.create_subprocess_exec(
            *command,
            str(limit),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for _ in range(processes)
    ]
    totals = []
    try:
        for each in range(number):
            for sender in senders:
                assert sender.stdin is not None
                sender.stdin.write(f"owner-{each}\n".encode())
            total = 0
            for sender in senders:
                assert sender.stdout is not None
                total += int(await sender.stdout.readline())
            totals.append(total)
    finally:
        for sender in senders:
            assert sender.stdin is not None
            sender.stdin.close()
            await sender.wait()
    return totals


async def _main(redis: str, count: int, limit: int) -> None:
    store = open_store(redis)
    await store.open()
    try:
        loop = asyncio.get_running_loop()
        while owner := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            print(await accepted(store, owner, count, limit), flush=True)
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
