"""`waking`: a run that is accepted where there is no room begins in another process.

One process is full (`DLS_MAX_RUNS=1`). Each question goes there; another process executes it. The
time is the asker's: from sending the question to reading the first record of the answer, which
comes back through the full process. So it holds HTTP both ways and both ways through Redis.

Questions come a tenth of a second after each other: one is over before the next one comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

from redis import Redis

from ..report import Figure
from ..source import SILENT
from .asking import ask
from .book import Book
from .servers import Site, anywhere, site
from .sizes import Size

TARGET_MS: Final = 10.0

_BETWEEN: Final = 0.1
_FIRST: Final = b'"type":"start"'


def waking(book: Book, size: Size) -> Iterator[Figure]:
    """Hand runs over, one after the other."""
    with site(
        "ours", followers=1, places=anywhere(), writer_settings={"DLS_MAX_RUNS": "1"}
    ) as there:
        full = there.writers[0]
        cookie = ask(full, "full", SILENT, b"", until=_FIRST).cookie
        asked = []
        for number in range(size.wakings):
            time.sleep(_BETWEEN)
            asked.append(ask(full, f"wait-{number}", SILENT, cookie, until=_FIRST))
        hops = _hops(there, [each.run for each in asked])
    times = sorted(each.seconds * 1000 for each in asked)
    book.say(f"ours waking: p50 {median(times):.1f} ms; accepted to claimed {median(hops):.0f} ms")
    book.raw.append({"what": "waking", "milliseconds": times, "accepted_to_claimed": hops})
    for name, value, target in (
        ("p50", median(times), TARGET_MS),
        ("p99", times[round(0.99 * (len(times) - 1))], None),
    ):
        yield Figure(
            name=f"asked in a full process, first record from another, {name}",
            values=[value],
            unit="ms",
            target=target,
        )
    yield Figure(
        name="of that: accepted until claimed, p50 (whole ms)", values=[median(hops)], unit="ms"
    )


def _hops(there: Site, runs: list[str]) -> list[int]:
    """Milliseconds from a run's acceptance to its claim, as its record has them."""
    with Redis(port=there.redis.port, decode_responses=True) as redis:
        keys = [key for run in runs for key in redis.scan_iter(f"*:run:{run}")]
        times = [redis.hmget(key, "created", "started") for key in keys]
    return [int(started or 0) - int(created or 0) for created, started in times]
