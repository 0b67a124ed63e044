"""Sign-outs and one-time links on Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from typing_extensions import override

from durable_llm_streams.store import Link, VisitorStore

from . import scripts
from .partitions import Partitions, milliseconds


class RedisVisitors(VisitorStore):
    """The visitors on Redis. Their keys belong to the store as a whole, not to a partition.

    Args:
        partitions: calls the scripts.
        root: what the keys of the store itself begin with.
        clock: the clock argument of scripts: "" for the server's.
    """

    def __init__(self, partitions: Partitions, root: str, clock: Callable[[], str]) -> None:
        self._partitions = partitions
        self._root = [root]
        self._clock = clock
        self._now = 0

    @override
    async def now(self) -> int:
        # A partition without chats has no count yet; then it is the clock.
        seen = int(await self._partitions.all[0].call(scripts.SEEN, self._clock()))
        self._now = max(self._now, seen)
        return self._now

    @override
    async def sign_out(self, owner: str, not_before: int, *, forget: int) -> None:
        await self._partitions.call(scripts.SIGN_OUT, self._root, [owner, not_before, forget])

    @override
    async def signed_out(self, owners: Sequence[str]) -> Sequence[int]:
        if not owners:
            return []
        found = await self._partitions.call(scripts.SIGNED_OUT, self._root, owners)
        return [int(float(time)) for time in found]

    @override
    async def keep_link(self, digest: str, link: Link, *, seconds: float) -> None:
        args: list[str | int] = [digest, link.owner, link.made_at, milliseconds(seconds)]
        await self._partitions.call(scripts.KEEP_LINK, self._root, args)

    @override
    async def take_link(self, digest: str) -> Link | None:
        found = await self._partitions.call(scripts.TAKE_LINK, self._root, [digest])
        if found is None:
            return None
        made_at, _, owner = bytes(found).decode().partition("|")
        return Link(owner, int(made_at))
