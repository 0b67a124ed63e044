"""The logs on Redis: append, read, end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from typing_extensions import override

from durable_llm_streams.errors import RunNotFound
from durable_llm_streams.model import Run
from durable_llm_streams.store import PAGE_BYTES, Append, Ending, LogStore, Page, Retention

from . import scripts
from .charges import words
from .live.following import Following
from .partitions import Partition, Partitions, milliseconds
from .replies import accepted, run_from, writer

_COMMITTED = ord("1")
#: The least time from the deletion of a log to that of its run's record, which detects duplicates.
_RECORD_SECONDS = 30 * 24 * 3600.0


class RedisLog(LogStore):
    """Logs on Redis.

    Args:
        partitions: where they are.
        following: reads logs while they are written; notified of what is committed here.
        retention: how long things are kept.
        clock: the clock argument of scripts: "" for the server's.
    """

    def __init__(
        self,
        partitions: Partitions,
        following: Following,
        retention: Retention,
        clock: Callable[[], str],
    ) -> None:
        self._partitions = partitions
        self._following = following
        self._retention = retention
        self._clock = clock

    @override
    def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Coroutine[Any, Any, Page]:
        # Not a coroutine of its own: every live reader waits in here.
        return self._following.read(run_id, after, max_bytes, wait)

    @override
    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        committed = await self._append_all(batch)
        self._following.appended(batch, committed)
        return committed

    async def _append_all(self, batch: Sequence[Append]) -> list[bool]:
        """Write a batch with one call for each partition in it."""
        partitions = self._partitions.all
        if not batch:
            return []
        if len(partitions) == 1:
            return await self._append(partitions[0], batch)
        indices: dict[Partition, list[int]] = {}
        for index, item in enumerate(batch):
            try:
                partition = await self._partitions.of_run(item.run_id)
            except RunNotFound:
                continue
            indices.setdefault(partition, []).append(index)
        committed = [False] * len(batch)
        for partition, some in indices.items():
            results = await self._append(partition, [batch[index] for index in some])
            for index, result in zip(some, results, strict=True):
                committed[index] = result
        return committed

    async def _append(self, partition: Partition, batch: Sequence[Append]) -> list[bool]:
        run_key, log_key = f"{partition.root}:run:", f"{partition.root}:log:"
        keys: list[str] = [partition.root]
        args: list[str | bytes | int] = []
        for item in batch:
            keys += (run_key + item.run_id, log_key + item.run_id)
            args += (writer(item.epoch), item.at, len(item.records), *item.records)
        reply = await self._partitions.call(scripts.APPEND, keys, args)
        return [mark == _COMMITTED for mark in reply]

    @override
    async def end(self, ending: Ending) -> Run:
        partition = await self._partitions.of_run(ending.run_id)
        reply = await partition.call(
            scripts.END,
            ending.run_id,
            writer(ending.epoch),
            ending.at,
            ending.status,
            ending.body,
            ending.now,
            milliseconds(self._retention.log),
            milliseconds(record_seconds(self._retention)),
            milliseconds(self._retention.chat),
            self._clock(),
            len(ending.charges),
            *words(ending.charges),
            *ending.records,
        )
        run = run_from(accepted(reply))
        self._following.ended(run, ending.at, ending.records)
        return run


def record_seconds(retention: Retention) -> float:
    """Seconds from a run's end that its record is kept."""
    return max(retention.chat, retention.log + _RECORD_SECONDS)
