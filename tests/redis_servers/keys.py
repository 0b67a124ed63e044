"""A check for leaks: which keys would stay for ever."""

from __future__ import annotations

import re
from typing import Any

from redis.asyncio import Redis


async def keys_without_ttl(url: str, prefix: str, **options: Any) -> list[str]:
    """The keys of one server that begin with a prefix and never expire, sorted.

    Args:
        url: the server's address, such as `RedisServer.url`. Of a cluster, ask each server.
        prefix: as it is: nothing in it is a pattern.
        options: what else `Redis.from_url` takes, such as `ssl_ca_certs`.
    """
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
    async with Redis.from_url(url, decode_responses=True, **options) as client:
        keys = sorted({key async for key in client.scan_iter(match=pattern, count=1000)})
        async with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.pttl(key)
            left = await pipeline.execute()
    return [key for key, milliseconds in zip(keys, left, strict=True) if milliseconds == -1]
