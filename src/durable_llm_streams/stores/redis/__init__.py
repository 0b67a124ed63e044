"""Redis: any number of serving processes, any of which may die.

What must be atomic is a script (`lua/`); what a process knows besides is a cache of what was
committed (`following`). The layout of the keys is in docs/redis.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from durable_llm_streams.clock import monotonic_clock
from durable_llm_streams.errors import StoreUnusable
from durable_llm_streams.ids import new_token
from durable_llm_streams.model import Chat, Claim, Message, Run
from durable_llm_streams.store import (
    PAGE_BYTES,
    Append,
    Changes,
    ChatPage,
    Ending,
    Order,
    Pace,
    Page,
    Sent,
    Snapshot,
)
from durable_llm_streams.stores.bells import Bells

from . import scripts
from .chats import Chats
from .client.address import RedisAddress
from .client.database import Database
from .client.protocols import RedisClient
from .context import Retention, Shared
from .doctor.checks import examine
from .feed import Feeds
from .layout import VERSION, store_root
from .live.following import Following
from .log import Logs
from .partitions import Partitions
from .runs import Runs

__all__ = ["RedisAddress", "RedisStore", "Retention"]

#: One answer at 50 tokens a second costs some 20 writes a second; a hundred share one each 2 ms.
#: From there on, some tokens of each answer come together: docs/decisions/0009-….md tells why.
PACE = Pace(records=2.5, shortest=0.002, longest=0.05, crowded=0.06, few=5000, many=10_000)
ECONOMY = PACE._replace(records=50, longest=0.5)

logger = logging.getLogger(__name__)


class RedisStore:
    """The Store contract on Redis.

    Args:
        address: where Redis is.
        retention: how long keys live that nobody deletes earlier.
        economy: whether to spare commands, for a Redis that is paid by the command.
        now: a wall clock in milliseconds, for tests; None is the server's, the same for all.
        monotonic: a clock that nobody sets, in milliseconds, for tests. Without it a given `now`
            stands for both.
        token: draws the token of an epoch, lower-case hexadecimal digits.
        client: how Redis is reached; None opens connections to the address.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        retention: Retention | None = None,
        economy: bool = False,
        now: Callable[[], int] | None = None,
        monotonic: Callable[[], int] | None = None,
        token: Callable[[], str] = new_token,
        client: RedisClient | None = None,
    ) -> None:
        self.pace = ECONOMY if economy else PACE
        self._database: RedisClient = Database(address) if client is None else client
        self._shared = Shared(
            self._database,
            retention or Retention(),
            now,
            token,
            monotonic or now or monotonic_clock,
        )
        self._bells = Bells()
        self._work = asyncio.Event()
        self._logs = Logs(self._shared)
        self._following = Following(self._shared, self._logs, self._ring, self._ring_all)
        self._runs = Runs(self._shared, self._following.claimed)
        self._chats = Chats(self._shared)
        self._feeds = Feeds(self._shared, self._bells)
        self._secret = b""

    async def open(self) -> None:
        """See `Store.open`. What is dangerous about the server is logged."""
        if self._secret:
            return
        for finding in await examine(self._database):
            if finding.level == "fatal":
                raise StoreUnusable(finding.text)
            if finding.level == "danger":
                logger.warning("%s", finding.text)
        address = self._database.address
        meta = await self._meta(address)
        # `examine` has looked at the same; but two may start at once on an empty Redis.
        if int(meta["version"]) > VERSION:
            raise StoreUnusable(
                f"The store at {address} was made by a newer version of this software. "
                "Start that version, or name another prefix: ?prefix=NAME."
            )
        if int(meta["partitions"]) != address.partitions:
            raise StoreUnusable(
                f"The store at {address} has {meta['partitions']} partitions, not "
                f"{address.partitions}. Write ?partitions={meta['partitions']} into the address."
            )
        self._secret = bytes.fromhex(meta["secret"])
        partitions = Partitions(self._database, address.prefix, address.partitions)
        self._shared.opened(partitions, meta["life"])
        await self._following.events.start()

    async def _meta(self, address: RedisAddress) -> dict[str, str]:
        flat = await self._database.call(
            scripts.META,
            [store_root(address.prefix)],
            (
                *("version", VERSION, "partitions", address.partitions),
                *("life", secrets.token_hex(8), "secret", secrets.token_hex(32)),
            ),
        )
        return {k.decode(): v.decode() for k, v in zip(*[iter(flat)] * 2, strict=True)}

    @property
    def arriving(self) -> int:
        """How many readers and listeners are about to wait."""
        return self._following.arriving + self._feeds.arriving

    def _ring(self, owner: str | None) -> None:
        if owner is None:
            self._work.set()
        else:
            self._bells.ring(owner)

    def _ring_all(self) -> None:
        self._work.set()
        self._bells.ring_all()

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        """See `LogStore.append`."""
        stands = await self._logs.append(batch)
        self._following.appended(batch, stands)
        return stands

    async def end(self, ending: Ending) -> Run:
        """See `LogStore.end`."""
        run = await self._logs.end(ending)
        self._following.ended(run, ending.at, ending.records)
        return run

    def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Coroutine[Any, Any, Page]:
        """See `LogReader.read`. No coroutine of its own: every live reader waits in here."""
        return self._following.read(run_id, after, max_bytes, wait)

    async def send(self, order: Order) -> Sent:
        """See `RunStore.send`."""
        return await self._runs.send(order)

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        """See `RunStore.claim`."""
        return await self._runs.claim(worker, limit, lease)

    async def work(self, wait: float) -> None:
        """See `RunStore.work`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._work.wait()
        self._work.clear()

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        """See `RunStore.seize`."""
        return await self._runs.seize(run_id, worker, lease)

    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        """See `RunStore.renew`."""
        lost = await self._runs.renew(claims, lease)
        for claim in lost:
            self._following.let_go(claim.run.id)
        return lost

    async def release(self, claims: Sequence[Claim]) -> None:
        """See `RunStore.release`."""
        await self._runs.release(claims)
        for claim in claims:
            self._following.let_go(claim.run.id)

    async def find_run(self, owner: str | None, chat_id: str, run_id: str | None = None) -> Run:
        """See `RunStore.find_run`."""
        return await self._runs.find_run(owner, chat_id, run_id)

    async def runs(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        """See `RunStore.runs`."""
        return await self._runs.runs(active=active, limit=limit)

    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        """See `ChatStore.snapshot`."""
        return await self._chats.snapshot(owner, chat_id, leaf)

    async def thread(self, run_id: str) -> Sequence[Message]:
        """See `ChatStore.thread`."""
        return await self._chats.thread(run_id)

    async def chats(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
        """See `ChatStore.chats`."""
        return await self._chats.chats(owner, query, limit, more)

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """See `ChatStore.rename`."""
        return await self._chats.rename(owner, chat_id, title)

    async def delete(self, owner: str, chat_id: str) -> None:
        """See `ChatStore.delete`."""
        await self._chats.delete(owner, chat_id)

    async def changes(self, owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        """See `FeedStore.changes`."""
        return await self._feeds.changes(owner, after, wait)

    async def secret(self) -> bytes:
        """See `Store.secret`."""
        self._shared.check_open()
        return self._secret

    async def check(self) -> None:
        """See `Store.check`."""
        await self._shared.call_all(scripts.CHECK)

    async def expire(self, *, now: int, log_age: float, chat_age: float) -> int:
        """See `Store.expire`. The time is Redis's, one for all processes."""
        return await self._chats.expire(log_age, chat_age)

    async def close(self) -> None:
        """See `Store.close`."""
        self._shared.closed = True
        self._ring_all()
        await self._following.close()
        await self._database.close()
