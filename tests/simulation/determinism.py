"""Clocks and chance: what differs from one run to the next is replaced for the time of a history.

The product reads wall clocks, the CPU's time, the system's randomness and `random`, for jitter. In
a history the first two follow the loop's time (each process has a wall clock of its own), and the
others are drawn from the seed.
"""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from durable_llm_streams.log import Flusher
from durable_llm_streams.stores.redis.doctor import checks
from durable_llm_streams.stores.sqlite.file import DatabaseFile

from .loop import current

#: The wall clock at the loop's time 0, in milliseconds since 1970 UTC.
DAWN = 1_800_000_000_000


def true_time() -> int:
    """What a right clock shows now, in milliseconds since 1970 UTC."""
    return DAWN + int(asyncio.get_running_loop().time() * 1000)


def wall_clock() -> int:
    """What the clock of the running process shows, in milliseconds since 1970 UTC."""
    return true_time() + current().ahead


async def _nobody_knows(*_: object) -> None:
    """No reason is found: it passes by itself."""


@contextmanager
def determined(rng: random.Random, busy: float) -> Iterator[None]:
    """Replace clocks and chance.

    Args:
        rng: stands in for the system's randomness, and seeds `random`.
        busy: the share of the time that a process's thread seems to be at work, 0 to 1.
    """

    def cpu_time() -> float:
        return busy * asyncio.get_running_loop().time()

    def token_bytes(count: int | None = None) -> bytes:
        return rng.randbytes(32 if count is None else count)

    replaced = (
        (time, "time", lambda: wall_clock() / 1000),
        (time, "time_ns", lambda: wall_clock() * 1_000_000),
        (secrets, "token_bytes", token_bytes),
        (secrets, "token_hex", lambda count=32: token_bytes(count).hex()),
        (secrets, "randbits", rng.getrandbits),
        # a thread that copies pages behind the store's back: its moments are the machine's
        (DatabaseFile, "_checkpoint_loop", lambda _: None),
        # asks a real network why a server cannot be reached
        (checks, "why_unusable", _nobody_knows),
    )
    gc.disable()  # its moments would be chance
    before = random.getstate()
    random.seed(rng.getrandbits(64))
    try:
        with ExitStack() as stack:
            for owner, name, value in replaced:
                stack.enter_context(patch.object(owner, name, value))
            # its default was read when the class was made
            stack.enter_context(patch.dict(Flusher.__init__.__kwdefaults__, core=cpu_time))
            yield
    finally:
        random.setstate(before)
        gc.enable()
