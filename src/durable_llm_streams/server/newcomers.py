"""How many new visitors may send from one address."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil
from typing import Final

from durable_llm_streams.errors import TooManyVisitors

from .edge import network_of

_HOUR: Final = 3600.0
_REMEMBERED: Final = 10_000


class Newcomers:
    """Counts the new visitors of each address within the last hour, in memory.

    A visitor is new at the first message. Somebody who drops the cookie after each message is a new
    owner each time, and each owner has limits of its own.

    Args:
        limit: how many of one address may send within an hour; 0 is unlimited.
        now: a monotonic clock, in seconds.
        remembered: how many addresses, and how many visitors; the oldest ones are forgotten.
    """

    def __init__(
        self,
        limit: int,
        *,
        now: Callable[[], float] = time.monotonic,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._limit = limit
        self._now = now
        self._remembered = remembered
        self._known: OrderedDict[str, None] = OrderedDict()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def knows(self, owner: str) -> bool:
        """Whether this visitor needs no look: remembered, or there is no limit."""
        return self._limit == 0 or owner in self._known

    def remember(self, owner: str) -> None:
        """This visitor is not new, from now on."""
        self._known[owner] = None
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    def admit(self, address: str) -> None:
        """Count a new visitor who sends a message.

        Args:
            address: of the client; "" if the server does not know it.

        Raises:
            TooManyVisitors: as many of the address have come within the last hour.
        """
        if self._limit == 0:
            return
        now, network = self._now(), network_of(address)
        times = self._times.setdefault(network, deque())
        self._times.move_to_end(network)
        while times and times[0] <= now - _HOUR:
            times.popleft()
        if len(times) >= self._limit:
            raise TooManyVisitors(self._limit, ceil(times[0] + _HOUR - now))
        times.append(now)
        if len(self._times) > self._remembered:
            self._times.popitem(last=False)
