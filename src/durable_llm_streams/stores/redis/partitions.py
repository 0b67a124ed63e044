"""Which keys are where.

Theory of operation
===================
1. A partition's keys share a root with a hash tag, `{PREFIX:N}`: one hash slot, so that one script
   can work on all of them. A single server has one partition, a Cluster has several.
2. A chat's id says which partition it is in. Everything of a chat is there: its runs, their logs,
   its place in its owner's list, what its owner's feed tells of it.
3. A run's id does not say it. Whoever does not know asks every partition, once.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict

from durable_llm_streams.errors import RunNotFound

from .client.protocols import RedisClient
from .layout import root
from .scripts import FIND_PARTITION

_REMEMBERED = 10_000


class Partitions:
    """The partitions of a store.

    Args:
        database: where they are.
        prefix: what the store's keys begin with.
        count: how many there are.
    """

    def __init__(self, database: RedisClient, prefix: str, count: int) -> None:
        self._database = database
        self.roots = tuple(root(prefix, number) for number in range(count))
        self._runs: OrderedDict[str, str] = OrderedDict()

    def of_chat(self, chat_id: str) -> str:
        """The root of the partition that a chat is in."""
        return self.roots[zlib.crc32(chat_id.encode()) % len(self.roots)]

    async def of_run(self, run_id: str) -> str:
        """The root of the partition that a run is in.

        Raises:
            RunNotFound: it is in none.
            StoreUnavailable: one of them did not answer.
        """
        if len(self.roots) == 1:
            return self.roots[0]
        known = self._runs.get(run_id)
        if known is not None:
            return known
        answers = await asyncio.gather(
            *(self._database.call(FIND_PARTITION, [each], [run_id]) for each in self.roots)
        )
        for found, there in zip(self.roots, answers, strict=True):
            if there:
                self.remember(run_id, found)
                return found
        raise RunNotFound("There is no such run (any more).")

    def remember(self, run_id: str, found: str) -> None:
        """Somebody found a run in the partition of this root."""
        if len(self.roots) > 1:
            self._runs[run_id] = found
            if len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
