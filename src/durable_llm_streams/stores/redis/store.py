"""Redis: any number of serving processes, any of which may die.

Every atomic step is a script (`lua/`). Each process also caches the ends of logs that it reads or
writes (`live/`). The layout of the keys is in docs/redis.md.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from durable_llm_streams.clock import monotonic_clock
from durable_llm_streams.errors import StoreUnusable
from durable_llm_streams.ids import new_token
from durable_llm_streams.store import Pace, Retention, RunList, Store
from durable_llm_streams.stores.housekeeping import Housekeeping
from durable_llm_streams.stores.notify import Notifier, WorkSignal

from . import scripts
from .chats import RedisChats
from .client.address import RedisAddress
from .client.connection import pairs
from .client.database import Database
from .client.protocols import RedisClient
from .doctor.checks import examine
from .expiry import Expiry
from .feed import RedisFeed
from .live.following import Following
from .log import RedisLog
from .partitions import VERSION, Partitions, store_root
from .runs import RedisRuns
from .upgrading import upgrade
from .visitors import RedisVisitors

#: A shorter interval gains nothing, and Redis has only one core for all calls.
PACE: Final = Pace(interval=0.002)
#: For a Redis that is paid by the command.
ECONOMY: Final = PACE._replace(records=50, longest=0.5)

#: Fields of `{PREFIX}:meta` that are the store's own.
_OWN: Final = frozenset({"version", "partitions", "life", "upgrading"})

logger = logging.getLogger(__name__)


class RedisStore(Store):
    """The Store on Redis.

    Args:
        address: where Redis is.
        retention: how long things are kept.
        economy: whether to spare commands, for a Redis that is paid by the command.
        now: a wall clock in milliseconds, for tests; None is the clock of Redis.
        monotonic: a monotonic clock in milliseconds, for tests. Without it, a given `now` is used
            for both.
        token: draws the token of an epoch, lower-case hexadecimal digits.
        client: calls Redis; None opens connections to the address.
    """

    log: RedisLog
    runs: RedisRuns
    chats: RedisChats
    feed: RedisFeed
    operators: RunList
    visitors: RedisVisitors

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
        self._client: RedisClient = Database(address) if client is None else client
        self._partitions = partitions = Partitions(self._client, address)
        retention = retention or Retention()
        subscribers, work = Notifier(), WorkSignal()

        def clock() -> str:
            return "" if now is None else str(now())

        self._following = Following(self._client, partitions, subscribers, work)
        self.log = RedisLog(partitions, self._following, retention, clock)
        self.runs = RedisRuns(partitions, self._following, work, retention, clock, token)
        self.operators = self.runs
        self.chats = RedisChats(partitions)
        self.feed = RedisFeed(partitions, subscribers, clock)
        self.visitors = RedisVisitors(partitions, store_root(address.prefix), clock)
        self.expiry = Expiry(partitions, retention, clock, monotonic or now or monotonic_clock)
        self._housekeeping = Housekeeping(self.expiry)
        self._values: dict[str, str] = {}  # of the store as a whole; they never change

    @override
    async def open(self) -> None:
        # Dangerous settings of the server are logged.
        if self._partitions.life:
            return
        for finding in await examine(self._client):
            if finding.level == "fatal":
                raise StoreUnusable(finding.text)
            if finding.level == "danger":
                logger.warning("%s", finding.text)
        self._partitions.life = await self._life()
        await self._following.events.start()
        self._housekeeping.start()

    async def _life(self) -> str:
        """The store's id; creates the store if there is none. Raises StoreUnusable."""
        address = self._client.address
        meta = await self._meta(
            version=VERSION, partitions=address.partitions, life=secrets.token_hex(8)
        )
        # `examine` has checked this too, but two servers may start at once on an empty Redis.
        if int(meta["version"]) > VERSION:
            raise StoreUnusable(
                f"The store at {address} was made by a newer version of this software. "
                "Start that version, or use another prefix: ?prefix=NAME."
            )
        if int(meta["partitions"]) != address.partitions:
            raise StoreUnusable(
                f"The store at {address} has {meta['partitions']} partitions, not "
                f"{address.partitions}. Write ?partitions={meta['partitions']} into the address."
            )
        await upgrade(self._client, meta)
        return meta["life"]

    async def _meta(self, **fields: str | int) -> dict[str, str]:
        """All fields of the store as a whole. Fields that are missing are written first."""
        root = store_root(self._client.address.prefix)
        words = [word for field in fields.items() for word in field]
        flat = await self._client.call(scripts.META, [root], words)
        self._values = {name.decode(): value.decode() for name, value in pairs(flat)}
        return self._values

    @override
    async def meta(self, name: str, default: bytes) -> bytes:
        self._partitions.check_open()
        if name in _OWN:
            raise ValueError(f"The store keeps a value of its own as {name!r}.")
        if name not in self._values:
            await self._meta(**{name: default.hex()})
        return bytes.fromhex(self._values[name])

    @property
    def arriving(self) -> int:
        """How many readers and subscribers are about to wait."""
        return self._following.arriving + self.feed.arriving

    @override
    async def check(self) -> None:
        await self._partitions.call_all(scripts.CHECK)

    @override
    async def close(self) -> None:
        self._partitions.closed = True
        await self._housekeeping.stop()
        await self._following.close()
        await self._client.close()
