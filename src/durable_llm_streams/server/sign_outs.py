"""Which visitors signed out everywhere, as this process knows it; and the time of cookies.

Theory of operation
===================
1. A sign-out is in the store. A process asks for an owner's when a cookie comes, at most once in
   `RECHECK_SECONDS`, and in one call for all owners whose streams are open. So a sign-out is
   effective everywhere within that time, and streams end soon after.
2. Within that time another process may still renew a cookie. So a sign-out is valid for cookies
   that are signed up to `MARGIN_SECONDS` after it: nobody of that owner gets a new one later.
3. Cookies count the time that the store has seen, which does not jump. Between two looks it goes on
   with this process's monotonic clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic as monotonic_seconds
from typing import Final, NamedTuple

from durable_llm_streams.errors import StoreError, StoreUnavailable
from durable_llm_streams.store import VisitorStore

from .open_streams import OpenStreams

#: Seconds until an owner's sign-out is read again.
RECHECK_SECONDS: Final = 5.0
#: Seconds after a sign-out during which cookies may still be signed by a process that is unaware.
MARGIN_SECONDS: Final = 60.0

_REMEMBERED: Final = 20_000
_OWNERS_IN_A_CALL: Final = 500
_CLOCK_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


class _Looked(NamedTuple):
    not_before: float
    at: float


class SignOuts:
    """The sign-outs of a store.

    Args:
        store: keeps them.
        cookie_seconds: how long a cookie is valid.
        recheck: seconds until an owner's sign-out is read again; None for `RECHECK_SECONDS`.
        monotonic: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: VisitorStore,
        cookie_seconds: float,
        *,
        recheck: float | None = None,
        monotonic: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._store = store
        self._cookie_seconds = cookie_seconds
        self._recheck = RECHECK_SECONDS if recheck is None else recheck
        self._monotonic = monotonic
        self._looked: OrderedDict[str, _Looked] = OrderedDict()
        self._clock: tuple[float, float] | None = None  # the store's, and ours then

    async def open(self) -> None:
        """Read the store's time. Raises StoreUnavailable."""
        self._clock = (await self._store.now() / 1000, self._monotonic())

    def now(self) -> float:
        """The store's time, in seconds."""
        assert self._clock is not None, "it is not open"
        seen, at = self._clock
        return seen + self._monotonic() - at

    async def not_before(self, owner: str) -> float:
        """Cookies of an owner that were signed until then are not valid; 0 if all are.

        Raises:
            StoreUnavailable: it is not known at all.
        """
        held = self._looked.get(owner)
        if held is not None and self._monotonic() - held.at < self._recheck:
            return held.not_before
        try:
            await self._look([owner])
        except StoreUnavailable:
            if held is None:
                raise
            return held.not_before  # nothing is shown while the store does not answer
        return self._looked[owner].not_before

    async def recheck(self, owner: str) -> None:
        """Read an owner's sign-out now. Raises StoreUnavailable."""
        await self._look([owner])

    async def sign_out(self, owner: str) -> None:
        """Sign an owner out, in all browsers. Raises StoreUnavailable."""
        now = self.now()
        until = round((now + MARGIN_SECONDS) * 1000)
        oldest = round((now - self._cookie_seconds) * 1000)
        await self._store.sign_out(owner, until, forget=max(0, oldest))
        self._remember(owner, until / 1000)

    async def end_streams(self, streams: OpenStreams) -> None:
        """End the open streams of those who signed out. Raises StoreUnavailable."""
        owners = sorted(streams.visitors())
        for first in range(0, len(owners), _OWNERS_IN_A_CALL):
            await self._look(owners[first : first + _OWNERS_IN_A_CALL])
        for owner in owners:
            if held := self._looked.get(owner):
                streams.end_visitor(owner, held.not_before)

    async def watch(self, streams: OpenStreams) -> None:
        """Do so for ever."""
        looked_at_clock = self._monotonic()
        while True:
            await asyncio.sleep(self._recheck)
            try:
                await self.end_streams(streams)
                if self._monotonic() - looked_at_clock > _CLOCK_SECONDS:
                    await self.open()
                    looked_at_clock = self._monotonic()
            except StoreError:
                continue  # the store's own checks report it
            except Exception:
                logger.exception("The sign-outs could not be checked")

    async def _look(self, owners: Sequence[str]) -> None:
        for owner, until in zip(owners, await self._store.signed_out(owners), strict=True):
            self._remember(owner, until / 1000)

    def _remember(self, owner: str, not_before: float) -> None:
        self._looked[owner] = _Looked(not_before, self._monotonic())
        self._looked.move_to_end(owner)
        while len(self._looked) > _REMEMBERED:
            self._looked.popitem(last=False)
