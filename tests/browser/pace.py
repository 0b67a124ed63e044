"""A scripted model with a pace, for tests in which something happens while it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.app import Script


def numbered(count: int, word: str = "word") -> tuple[str, ...]:
    """Pieces that tell where they belong."""
    return tuple(f"{word}{number} " for number in range(1, count + 1))


@asynccontextmanager
async def speaking(script: Script, *, every: float = 0.005) -> AsyncGenerator[None, None]:
    """Let a piece go every so many seconds; at the end the rest at once."""

    async def speak() -> None:
        while True:
            script.allow()
            await asyncio.sleep(every)

    script.hold()
    speaker = asyncio.create_task(speak())
    try:
        yield
    finally:
        speaker.cancel()
        script.free()
