"""What is started when a block begins and closed when it ends, however it ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
