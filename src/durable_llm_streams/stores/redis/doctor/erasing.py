"""How long a Redis keeps what was deleted on its disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from durable_llm_streams.stores.finding import Finding

_HOUR = 3600
_DAY = 24 * _HOUR


def kept_on_disk(info: Mapping[str, str]) -> Iterator[Finding]:
    """How old the words in an append-only file may be that are deleted in memory.

    INFO does not show when the file was last rewritten, only how often since the server started.

    Args:
        info: of the server.
    """
    if info.get("aof_enabled") != "1":
        return
    uptime, rewrites = info.get("uptime_in_seconds", ""), info.get("aof_rewrites", "")
    how_often = ""
    if uptime.isdigit() and rewrites.isdigit():
        times = {0: "not", 1: "once"}.get(int(rewrites), f"{int(rewrites)} times")
        how_often = f": {times} since it started {_age(int(uptime))} ago"
    yield Finding(
        "note",
        f"keeps what is deleted in its append-only file until it rewrites that{how_often}. "
        "BGREWRITEAOF does it now; a lower auto-aof-rewrite-percentage does it more often.",
    )


def _age(seconds: int) -> str:
    if seconds >= 2 * _DAY:
        return f"{seconds // _DAY} days"
    if seconds >= 2 * _HOUR:
        return f"{seconds // _HOUR} hours"
    return f"{max(1, seconds // 60)} min"
