"""Opens a store of an earlier layout: its chats get the names of the present one, in place.

Theory of operation
===================
1. In layout 1 a chat's name in keys is its id; since layout 2 it is `OWNER/ID`, so that each owner
   has ids of their own. Logs, leases and the queue go by run and stay as they are.
2. The store is marked before the first chat is renamed: from then on an earlier version does not
   start on it. Each chat is renamed in one step. A process that is killed meanwhile leaves the
   mark, and the next one goes on.
3. In a Cluster another name means another partition, and no step reaches two of them. There
   `dls migrate` copies the store.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Final

from durable_llm_streams.errors import StoreLocked, StoreUnusable

from . import scripts
from .client.errors import RedisError
from .client.protocols import RedisClient
from .partitions import VERSION, partition_root, store_root

logger = logging.getLogger(__name__)

_CHATS_PER_CALL: Final = 200


async def count_servers(client: RedisClient, prefix: str) -> int:
    """How many servers wait for the store's events; 0 if the command is not permitted."""
    channel = f"{partition_root(prefix, 0)}:events"
    count = 0
    with contextlib.suppress(RedisError):
        for node in await client.masters():
            reply = await client.command("PUBSUB", "NUMSUB", channel, node=node)
            count += int(reply[1])
    return count


async def upgrade(client: RedisClient, meta: Mapping[str, str]) -> None:
    """Bring a store to the present layout.

    Args:
        client: calls Redis.
        meta: the fields of the store as a whole.

    Raises:
        StoreLocked: servers of an earlier version are running on it.
        StoreUnusable: it is in a Cluster; the sentence says how to take it along.
        StoreUnavailable: Redis does not answer; try again.
    """
    address = client.address
    root = store_root(address.prefix)
    if int(meta["version"]) < VERSION:
        if address.partitions > 1:
            raise StoreUnusable(
                f"The store at {address} was made by an earlier version of this software. Stop its "
                "servers and copy it to another prefix: dls migrate OLD_ADDRESS NEW_ADDRESS, with "
                "?prefix=NAME in the new one. Then set DLS_STORE to the new address."
            )
        if await count_servers(client, address.prefix):
            raise StoreLocked(
                f"Servers of an earlier version are running on the store at {address}. Stop all of "
                "them, then start this one: it takes over their chats and answers."
            )
        await client.call(scripts.UPGRADING, [root], [VERSION, "begin"])
    elif "upgrading" not in meta:
        return
    count = await _rename_all(client, partition_root(address.prefix, 0))
    await client.call(scripts.UPGRADING, [root], [VERSION, "end"])
    logger.info("The store has the present layout now; %d chats were renamed.", count)


async def _rename_all(client: RedisClient, root: str) -> int:
    """Rename all chats that have names of layout 1. Returns how many there were."""
    total = 0
    while True:
        first = renamed = 0
        while True:
            seen, named = await client.call(scripts.UPGRADE, [root], [first, _CHATS_PER_CALL])
            first, renamed = first + seen, renamed + named
            if not seen:
                break
        total += int(renamed)
        if not renamed:  # chats of the same time may have changed places behind a pass
            return total
