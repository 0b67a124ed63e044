"""What the model says about itself: a server with which nothing is wrong."""

from __future__ import annotations

from .command import Words, unknown_subcommand
from .keyspace import Keyspace
from .values import Reply

_INFO = (
    b"redis_version:7.0.15", b"redis_mode:standalone", b"loading:0", b"maxmemory:0",
    b"maxmemory_policy:noeviction", b"aof_enabled:1", b"aof_last_write_status:ok",
    b"rdb_last_bgsave_status:ok", b"connected_slaves:0",
)  # fmt: skip
_CONFIGURATION = {
    b"save": b"",
    b"appendfsync": b"always",
    b"stop-writes-on-bgsave-error": b"yes",
    b"min-replicas-to-write": b"0",
}


def info(keys: Keyspace, words: Words) -> Reply:
    """INFO: what the checks before a start look at."""
    return b"\r\n".join((*_INFO, b""))


def config(keys: Keyspace, words: Words) -> Reply:
    """CONFIG GET."""
    if words[1].upper() != b"GET":
        raise unknown_subcommand(words)
    return [
        word
        for name in words[2:]
        if name.lower() in _CONFIGURATION
        for word in (name.lower(), _CONFIGURATION[name.lower()])
    ]
