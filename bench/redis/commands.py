"""`commands`: how many commands clients send to Redis for a thousand tokens.

One run of 50 tokens a second and one reader, with everything else that the processes do. MONITOR
reports each command and its sender, so commands of scripts inside Redis are counted apart.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from ..report import Figure
from .book import Book
from .readers import measure
from .servers import Kind, anywhere, site
from .sizes import Size


class Case(NamedTuple):
    """What is counted.

    Attributes:
        name: of the figure.
        kind: whose servers.
        followers: of another process than the writer's.
        economy: with DLS_REDIS_ECONOMY=1.
        target: commands for 1,000 tokens.
    """

    name: str
    kind: Kind
    followers: int
    economy: bool
    target: float | None


CASES: Final = (
    Case("one process", "ours", 0, economy=False, target=600.0),
    Case("reader in another process", "ours", 1, economy=False, target=None),
    Case("one process, economy", "ours", 0, economy=True, target=100.0),
    Case("reader in another process, economy", "ours", 1, economy=True, target=None),
    Case("theirs, reader in another process", "theirs", 1, economy=False, target=None),
)


def commands(book: Book, size: Size) -> Iterator[Figure]:
    """Count all cases at the same time: none of them is a load."""
    starting = threading.Lock()
    with ThreadPoolExecutor(len(CASES)) as pool:
        counted = list(pool.map(lambda case: _count(case, size, starting), CASES))
    for case, (per_thousand, by_name) in zip(CASES, counted, strict=True):
        book.say(f"commands, {case.name}: {per_thousand:.0f}  {dict(by_name.most_common(6))}")
        book.raw.append({"what": f"commands, {case.name}", "sent": dict(by_name)})
        yield Figure(
            name=f"commands for 1,000 tokens, {case.name}",
            values=[per_thousand],
            unit="",
            target=case.target,
        )


def _count(case: Case, size: Size, starting: threading.Lock) -> tuple[float, Counter[str]]:
    settings = {"DLS_REDIS_ECONOMY": "1"} if case.economy else {}
    with ExitStack() as stack:
        with starting:  # one site at a time: many processes that start together are slow
            there = stack.enter_context(
                site(case.kind, followers=case.followers, places=anywhere(), settings=settings)
            )
        monitor = _Monitor(stack.enter_context(Redis(port=there.redis.port)))
        levels = measure(
            there,
            (1,),
            warm_up=size.warm_up,
            window=size.seconds,
            timed_every=1,
            places=anywhere(),
        )
        one = next(levels)
        sent = monitor.sent(time.time() - one.seconds, time.time())
        assert one.chunks, "no token was read"
        return sum(sent.values()) / one.chunks * 1000, sent


class _Monitor:
    """Receives every command of a Redis, with the server's time."""

    def __init__(self, redis: Redis) -> None:
        self._heard: list[tuple[float, str]] = []
        self._redis = redis
        self._listening = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        self._listening.wait()

    def sent(self, since: float, until: float) -> Counter[str]:
        """How often which command was sent by a client in a time."""
        return Counter(name for at, name in self._heard if since <= at <= until)

    def _listen(self) -> None:
        with self._redis.monitor() as monitor:
            self._listening.set()
            try:
                for command in monitor.listen():
                    if command["client_type"] != "lua":
                        name = command["command"].split(" ")[0].upper()
                        self._heard.append((command["time"], name))
            except (OSError, RedisError):
                return  # the server has ended
