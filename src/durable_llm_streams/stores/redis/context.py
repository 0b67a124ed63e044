"""What the parts of the store share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from durable_llm_streams.clock import monotonic_clock
from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.ids import new_token

from .client.protocols import RedisClient
from .client.script import Script
from .partitions import Partitions

#: A run's record outlives its log by so much at the least: it makes repetitions recognisable.
_RECORD_SECONDS = 30 * 24 * 3600.0


class Retention(Struct, frozen=True):
    """How long keys live that nobody deletes earlier.

    Attributes:
        log: seconds from a run's end.
        chat: seconds from a chat's last change; 0 is for ever.
    """

    log: float = 24 * 3600.0
    chat: float = 365 * 24 * 3600.0

    @property
    def record(self) -> float:
        """Seconds from a run's end that its record lives."""
        return max(self.chat, self.log + _RECORD_SECONDS)


class Shared:
    """The database, its partitions, the clock.

    Args:
        database: the connections.
        retention: see `Retention`.
        now: a wall clock in milliseconds, for tests; None is the server's, the same for all.
        token: draws the token of an epoch.
        monotonic: a clock that nobody sets, in milliseconds.
    """

    def __init__(
        self,
        database: RedisClient,
        retention: Retention,
        now: Callable[[], int] | None = None,
        token: Callable[[], str] = new_token,
        monotonic: Callable[[], int] = monotonic_clock,
    ) -> None:
        self.database = database
        self.monotonic = monotonic
        self.retention = retention
        self.token = token
        self._now = now
        self._partitions: Partitions | None = None
        self.life = ""
        self.closed = False

    def opened(self, partitions: Partitions, life: str) -> None:
        """It is known what the store is made of."""
        self._partitions = partitions
        self.life = life

    @property
    def partitions(self) -> Partitions:
        """The partitions. Raises StoreUnavailable before the store is open."""
        if self._partitions is None:
            raise StoreUnavailable("The store is not open.")
        return self._partitions

    @property
    def clock(self) -> str:
        """What scripts are given as their clock: '' for the server's."""
        return "" if self._now is None else str(self._now())

    async def call(self, script: Script, root: str, *args: str | bytes | int) -> Any:
        """Run a script on a partition.

        Raises:
            StoreUnavailable: nobody knows whether it ran.
        """
        self.check_open()
        return await self.database.call(script, [root], args)

    async def call_all(self, script: Script, *args: str | bytes | int) -> Sequence[Any]:
        """Run a script on every partition, one after the other."""
        return [await self.call(script, root, *args) for root in self.partitions.roots]

    def check_open(self) -> None:
        """Raise StoreUnavailable when the store was closed."""
        if self.closed:
            raise StoreUnavailable("The store is closed.")


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)
