"""Logs: append, end, and what stands there now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_llm_streams.errors import CursorLost, RunNotFound
from durable_llm_streams.model import Run, Status
from durable_llm_streams.store import Append, Ending, Page

from . import scripts
from .context import Shared, milliseconds
from .replies import accepted, run_from, spans_from, writer

_STANDS = ord("1")
_NEVER = 1 << 62  # more records than any log has


class Logs:
    """The logs of a store.

    Args:
        shared: see `Shared`.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def append(self, batch: Sequence[Append]) -> list[bool]:
        """See `LogStore.append`. One call for each partition that is written to."""
        roots = self._shared.partitions.roots
        if not batch:
            return []
        if len(roots) == 1:
            return await self._append(roots[0], batch)
        portions: dict[str, list[int]] = {}
        for index, item in enumerate(batch):
            try:
                root = await self._shared.partitions.of_run(item.run_id)
            except RunNotFound:
                continue
            portions.setdefault(root, []).append(index)
        stands = [False] * len(batch)
        for root, indices in portions.items():
            results = await self._append(root, [batch[index] for index in indices])
            for index, result in zip(indices, results, strict=True):
                stands[index] = result
        return stands

    async def _append(self, root: str, batch: Sequence[Append]) -> list[bool]:
        self._shared.check_open()
        run_key, log_key = f"{root}:run:", f"{root}:log:"
        keys: list[str] = [root]
        args: list[str | bytes | int] = []
        for item in batch:
            keys += (run_key + item.run_id, log_key + item.run_id)
            args += (writer(item.epoch), item.at, len(item.records), *item.records)
        reply = await self._shared.database.call(scripts.APPEND, keys, args)
        return [mark == _STANDS for mark in reply]

    async def end(self, ending: Ending) -> Run:
        """See `LogStore.end`."""
        shared, retention = self._shared, self._shared.retention
        root = await shared.partitions.of_run(ending.run_id)
        reply = await shared.call(
            scripts.END,
            root,
            ending.run_id,
            "" if ending.epoch is None else writer(ending.epoch),
            ending.at,
            ending.status,
            ending.body,
            ending.now,
            shared.token(),
            milliseconds(retention.log),
            milliseconds(retention.record),
            milliseconds(retention.chat),
            shared.clock,
            *ending.records,
        )
        return run_from(accepted(reply))

    async def page(self, run_id: str, after: int, max_bytes: int) -> Page:
        """What stands in a log now.

        Raises:
            RunNotFound: no such run (any more).
            CursorLost: `after` is beyond the log's end, or the log is past its retention.
        """
        if after < 0:
            raise CursorLost
        root = await self._shared.partitions.of_run(run_id)
        reply = await self._shared.call(scripts.READ, root, run_id, after, max_bytes)
        return page_from(reply, after)

    async def place(self, run_id: str, *, followed: bool) -> Page:
        """Where a log ends, without its records.

        Args:
            run_id: the run.
            followed: whether its records shall be published from now on.

        Raises:
            RunNotFound: no such run (any more).
        """
        root = await self._shared.partitions.of_run(run_id)
        if followed:
            reply = await self._shared.call(scripts.FOLLOW, root, run_id)
        else:
            reply = await self._shared.call(scripts.READ, root, run_id, _NEVER, 0)
        return page_from(reply, None)


def page_from(reply: Sequence[Any], after: int | None) -> Page:
    """A page from {status, spans, next, whether the log is there, records}.

    Args:
        reply: the script's.
        after: what was asked for; None asks only where the log ends.
    """
    if not reply:
        raise RunNotFound("There is no such run (any more).")
    status, spans, next_seq, is_there, records = reply
    if after is None:
        after = next_seq - 1
    elif after >= next_seq or (not is_there and after < next_seq - 1):
        raise CursorLost
    return Page(after + 1, records, next_seq, spans_from(spans.decode()), Status(status.decode()))
