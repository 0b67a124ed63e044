"""Partitions: which keys are where, and running scripts on them.

Theory of operation
===================
1. A partition's keys share a root with a hash tag, `{PREFIX:N}`: one hash slot, so that one script
   can work on all of them. A single server has one partition, a Cluster has several.
2. A chat's name, which is its owner and its id, decides its partition. Everything of a chat is
   there: its runs, their logs, its entry in its owner's list, its changes in its owner's feed.
3. A run's id does not decide its partition. A process that does not know it asks all partitions,
   once.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from durable_llm_streams.errors import RunNotFound, StoreClosed, StoreUnavailable

from .client.address import RedisAddress
from .client.connection import Word
from .client.protocols import RedisClient
from .client.script import Script
from .scripts import FIND_PARTITION

#: The version of the layout of the keys. A store of a newer version is refused.
VERSION = 2

_REMEMBERED = 10_000


def partition_root(prefix: str, number: int) -> str:
    """What every key and channel of a partition begins with; the braces make it one hash slot."""
    return f"{{{prefix}:{number}}}"


def chat_name(owner: str, chat_id: str) -> str:
    """A chat's name in keys: `OWNER/ID`. No id has a slash, so the last one ends the owner."""
    return f"{owner}/{chat_id}"


def chat_of_name(name: str) -> tuple[str, str]:
    """A chat's owner and id."""
    owner, _, chat_id = name.rpartition("/")
    return owner, chat_id


def store_root(prefix: str) -> str:
    """What the keys of the store itself begin with."""
    return f"{{{prefix}}}"


class Partition:
    """One partition.

    Attributes:
        root: what its keys begin with.
    """

    __slots__ = ("_all", "root")

    def __init__(self, partitions: Partitions, root: str) -> None:
        self._all = partitions
        self.root = root

    @property
    def events_channel(self) -> str:
        """The channel of claims, ends, deletions, changes of feeds and new work."""
        return f"{self.root}:events"

    def records_channel(self, run_id: str) -> str:
        """The channel of a run's records."""
        return f"{self.root}:tail:{run_id}"

    async def call(self, script: Script, *args: Word) -> Any:
        """Run a script.

        Raises:
            StoreUnavailable: it is unknown whether it ran.
        """
        return await self._all.call(script, [self.root], args)


class Partitions:
    """The partitions of a store.

    Args:
        client: calls Redis.
        address: has the prefix of the keys and the number of partitions.

    Attributes:
        all: the partitions.
        life: the id of this store, which positions in the feeds begin with; "" until it is open.
        closed: whether this process has closed the store.
    """

    def __init__(self, client: RedisClient, address: RedisAddress) -> None:
        self._client = client
        self.all = tuple(
            Partition(self, partition_root(address.prefix, number))
            for number in range(address.partitions)
        )
        self.life = ""
        self.closed = False
        self._runs: OrderedDict[str, Partition] = OrderedDict()

    def of_chat(self, owner: str, chat_id: str) -> Partition:
        """The partition of a chat."""
        return self.named(chat_name(owner, chat_id))

    def named(self, name: str) -> Partition:
        """The partition of a chat with this name in keys."""
        return self.all[zlib.crc32(name.encode()) % len(self.all)]

    async def of_run(self, run_id: str) -> Partition:
        """The partition of a run.

        Raises:
            RunNotFound: it is in none of them.
            StoreUnavailable: one of them did not answer.
        """
        if len(self.all) == 1:
            return self.all[0]
        known = self._runs.get(run_id)
        if known is not None:
            return known
        answers = await self.call_all(FIND_PARTITION, run_id)
        for partition, found in zip(self.all, answers, strict=True):
            if found:
                self.remember(run_id, partition)
                return partition
        raise RunNotFound

    def remember(self, run_id: str, partition: Partition) -> None:
        """Remember in which partition a run is."""
        if len(self.all) > 1:
            self._runs[run_id] = partition
            if len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)

    async def call(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """Run a script.

        Args:
            script: what to run.
            keys: its KEYS, all of one partition.
            args: its ARGV.

        Raises:
            StoreUnavailable: it is unknown whether it ran.
        """
        self.check_open()
        return await self._client.call(script, keys, args)

    async def call_all(self, script: Script, *args: Word) -> Sequence[Any]:
        """Run a script on all partitions concurrently."""
        if len(self.all) == 1:
            return [await self.all[0].call(script, *args)]
        return await asyncio.gather(*(partition.call(script, *args) for partition in self.all))

    def check_open(self) -> None:
        """Raise StoreUnavailable before the store is open and after it was closed."""
        if self.closed:
            raise StoreClosed
        if not self.life:
            raise StoreUnavailable("The store is not open.")


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)
