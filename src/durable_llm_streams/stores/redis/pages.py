"""Reading pages of logs, without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_llm_streams.errors import CursorLost, RunNotFound
from durable_llm_streams.model import Status
from durable_llm_streams.store import Page

from . import scripts
from .partitions import Partitions
from .replies import spans_from

_BEYOND_END = 1 << 62  # more records than any log has


class Pages:
    """Reads pages of logs.

    Args:
        partitions: where the logs are.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def read(self, run_id: str, after: int, max_bytes: int) -> Page:
        """The page after a record, without waiting.

        Raises:
            RunNotFound: no such run, or it was deleted.
            CursorLost: `after` is beyond the log's end, or the log is past its retention.
        """
        if after < 0:
            raise CursorLost
        partition = await self._partitions.of_run(run_id)
        return page_from(await partition.call(scripts.READ, run_id, after, max_bytes), after)

    async def end(self, run_id: str, *, publish: bool) -> Page:
        """An empty page at the log's end.

        Args:
            run_id: the run.
            publish: whether its records are to be published from now on.

        Raises:
            RunNotFound: no such run, or it was deleted.
        """
        partition = await self._partitions.of_run(run_id)
        if publish:
            reply = await partition.call(scripts.FOLLOW, run_id)
        else:
            reply = await partition.call(scripts.READ, run_id, _BEYOND_END, 0)
        return page_from(reply, None)


def page_from(reply: Sequence[Any], after: int | None) -> Page:
    """A page from {status, spans, next, whether the log is there, records}.

    Args:
        reply: of the script.
        after: the last record that the reader has; None for the log's end.
    """
    if not reply:
        raise RunNotFound
    status, spans, next_seq, is_there, records = reply
    if after is None:
        after = next_seq - 1
    elif after >= next_seq or (not is_there and after < next_seq - 1):
        raise CursorLost
    return Page(after + 1, records, next_seq, spans_from(spans.decode()), Status(status.decode()))
