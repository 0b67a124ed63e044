"""Real Redis servers for tests: one, one under Sentinel, a cluster. See `server` for the rules."""

from __future__ import annotations

from tests.redis_servers.cluster import ClusterSetup
from tests.redis_servers.fixtures import redis_cluster, redis_server
from tests.redis_servers.keys import keys_without_ttl
from tests.redis_servers.sentinel import SentinelSetup
from tests.redis_servers.server import RedisServer, find_redis, require_redis

__all__ = [
    "ClusterSetup",
    "RedisServer",
    "SentinelSetup",
    "find_redis",
    "keys_without_ttl",
    "redis_cluster",
    "redis_server",
    "require_redis",
]
