"""Waiting for something to happen, by name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Bell:
    """One listener: whatever rings from its making on is heard."""

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ring(self) -> None:
        """Something happened."""
        if not self._rung.done():
            self._rung.set_result(None)

    async def heard(self, seconds: float) -> None:
        """Until it rings, or so many seconds are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung


class Bells:
    """Those who listen, by the name that they listen for."""

    def __init__(self) -> None:
        # In order of arrival: who is woken first must not depend on where a bell lies in memory.
        self._listening: dict[str, dict[Bell, None]] = {}

    @contextlib.contextmanager
    def listen(self, name: str) -> Iterator[Bell]:
        """Hear whatever happens under a name from now on."""
        bell = Bell()
        listening = self._listening.setdefault(name, {})
        listening[bell] = None
        try:
            yield bell
        finally:
            del listening[bell]
            if not listening:
                del self._listening[name]

    def ring(self, name: str) -> None:
        """Something happened under a name."""
        for bell in self._listening.get(name, ()):
            bell.ring()

    def ring_all(self) -> None:
        """Let everybody look."""
        for listening in self._listening.values():
            for bell in listening:
                bell.ring()
