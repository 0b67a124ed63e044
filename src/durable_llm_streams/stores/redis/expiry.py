"""Deleting from Redis what has outlived its retention."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from durable_llm_streams.store import Retention
from durable_llm_streams.stores.housekeeping import Sweeper
from durable_llm_streams.stores.seen_time import ClockWatch

from . import scripts
from .log import record_seconds
from .partitions import Partitions, milliseconds


class Expiry(Sweeper):
    """Deletes old logs and chats. All processes go by the clock of Redis.

    Args:
        partitions: where they are.
        retention: how long things are kept.
        clock: the clock argument of scripts: "" for the server's.
        monotonic: a monotonic clock, in milliseconds.
    """

    def __init__(
        self,
        partitions: Partitions,
        retention: Retention,
        clock: Callable[[], str],
        monotonic: Callable[[], int],
    ) -> None:
        self._partitions = partitions
        self.retention = retention
        self._clock = clock
        self._watches = [ClockWatch(monotonic, "The clock of Redis") for _ in partitions.all]

    @override
    async def delete_some(self) -> int:
        # A jump of the clock is logged once, not for each partition.
        retention = self.retention
        deleted, logged = 0, False
        for partition, watch in zip(self._partitions.all, self._watches, strict=True):
            look = watch.look(retention)
            some, before, wall = await partition.call(
                scripts.EXPIRE,
                milliseconds(retention.log),
                milliseconds(retention.chat) if retention.chat > 0 else "",
                milliseconds(record_seconds(retention)),
                self._clock(),
                look.most,
            )
            deleted += some
            logged |= watch.looked(look, int(wall), int(before), quiet=logged)
        return deleted
