"""What INFO and CONFIG GET of a server say about the answers that it is to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from durable_llm_streams.stores.finding import Finding
from durable_llm_streams.stores.redis.client.address import Mode

from .erasing import kept_on_disk

OLDEST = (7, 0)

#: What `CONFIG GET` is asked for; INFO does not have it.
PARAMETERS = ("save", "appendfsync", "stop-writes-on-bgsave-error", "min-replicas-to-write")

Facts = Mapping[str, str]


def read_info(reply: bytes) -> dict[str, str]:
    """The fields of a reply to INFO."""
    lines = reply.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def unfit(info: Facts, mode: Mode) -> str | None:
    """Why a server can be no store; None if it can.

    Args:
        info: of the server.
        mode: of the address.
    """
    kind = info.get("redis_mode", "")
    if kind == "sentinel":
        return (
            "is a Sentinel, which keeps no data. "
            "Write redis+sentinel://HOST:26379,…/SERVICE to reach the server behind it."
        )
    if kind == "cluster" and mode != "cluster":
        return "is a server of a Redis Cluster. Begin the address with redis+cluster://."
    if kind == "standalone" and mode == "cluster":
        return "is no Redis Cluster. Begin the address with redis://."
    version = info.get("redis_version", "")
    if version and _version(version) < OLDEST:
        return f"is Redis {version}, which is too old. Install Redis 7.0 or newer, or Valkey."
    return None


def findings(info: Facts, config: Facts | None, mode: Mode) -> Iterator[Finding]:
    """What is dangerous about a server, and what is good to know.

    Args:
        info: of the server.
        config: its `PARAMETERS`; None if it does not tell them.
        mode: of the address.
    """
    if config is None:
        yield Finding(
            "note",
            "does not tell its configuration (CONFIG GET is refused), so how often it writes to "
            "its disk is not known here.",
        )
    yield from _eviction(info)
    yield from _persistence(info, config)
    yield from _replicas(info, config, mode)
    yield from kept_on_disk(info)


def _eviction(info: Facts) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    if info.get("maxmemory", "0") == "0":
        yield Finding(
            "note",
            f"would delete answers at its limit of memory (maxmemory-policy {policy}), but has no "
            "limit now. Set maxmemory-policy noeviction.",
        )
    else:
        yield Finding(
            "danger",
            f"deletes chats and answers when its memory is full (maxmemory-policy {policy}). "
            "Set maxmemory-policy noeviction: then it refuses new ones instead.",
        )


def _persistence(info: Facts, config: Facts | None) -> Iterator[Finding]:
    if info.get("aof_last_write_status") == "err":
        yield Finding("danger", "cannot write its append-only file. Look at its disk and its log.")
    if info.get("rdb_last_bgsave_status") == "err":
        yield Finding("danger", "could not write its last snapshot. Look at its disk and its log.")
    aof = info.get("aof_enabled")
    if aof == "1":
        yield from _synced(config)
    elif aof == "0" and config is not None:
        yield from _without_aof(config)
    elif aof == "0":
        yield Finding(
            "note",
            "writes no append-only file. Make sure that it, or its provider, keeps the data in "
            "another way.",
        )


def _synced(config: Facts | None) -> Iterator[Finding]:
    appendfsync = "" if config is None else config.get("appendfsync", "")
    if appendfsync == "no":
        yield Finding(
            "danger",
            "leaves it to the system when its append-only file reaches the disk: a power failure "
            "may lose half a minute (appendfsync no). Set appendfsync everysec or always.",
        )
    elif appendfsync == "everysec":
        yield Finding(
            "note",
            "may lose the last second at a power failure (appendfsync everysec). Readers notice "
            "it and start over; appendfsync always loses nothing.",
        )


def _without_aof(config: Facts) -> Iterator[Finding]:
    if not config.get("save"):
        yield Finding(
            "danger",
            "keeps nothing on its disk: when it restarts, all chats are lost. Set appendonly yes.",
        )
        return
    yield Finding(
        "danger",
        "only writes snapshots: when it restarts, what was said since the last one is lost. "
        "Set appendonly yes.",
    )
    if config.get("stop-writes-on-bgsave-error") == "yes":
        yield Finding(
            "note",
            "refuses all writes after a snapshot that failed, until one succeeds "
            "(stop-writes-on-bgsave-error yes).",
        )


def _replicas(info: Facts, config: Facts | None, mode: Mode) -> Iterator[Finding]:
    if mode not in ("sentinel", "cluster") or "connected_slaves" not in info:
        return
    if info["connected_slaves"] == "0":
        consequence = (
            "nothing can take over when it dies"
            if mode == "sentinel"
            else ("its part of the chats is away while it is down")
        )
        yield Finding("danger" if mode == "sentinel" else "note", f"has no replica: {consequence}.")
    elif config is not None and config.get("min-replicas-to-write") == "0":
        yield Finding(
            "note",
            "takes writes also when it is cut off from its replicas; a failover then loses them. "
            "Readers notice it and start over; min-replicas-to-write 1 prevents it.",
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
