"""What is started when a block begins and closed when it ends, however it ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import quote


class Lifetime(ABC):
    """An async context manager of `start` and `close`."""

    @abstractmethod
    async def start(self) -> Self:
        """Begin, and return when it can be used."""

    @abstractmethod
    async def close(self) -> None:
        """End everything and leave nothing."""

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Setup(Lifetime):
    """Several servers that are one Redis for its clients."""

    def __init__(self, members: Iterable[Lifetime], password: str | None) -> None:
        self._members = members
        self._user = "" if password is None else f"default:{quote(password, safe='')}@"
        self._running = AsyncExitStack()

    @abstractmethod
    async def _start(self) -> None:
        """Start all members."""

    async def start(self) -> Self:
        """Start all members, and wait until they have found each other."""
        for member in self._members:
            self._running.push_async_callback(member.close)
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """End everything and leave nothing."""
        await self._running.aclose()
