"""The product's store on Redis, over the model of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable_llm_streams.stores.redis import RedisAddress, RedisStore, Retention
from durable_llm_streams.stores.redis.address import Node
from durable_llm_streams.stores.redis.context import random_token

from .network import ModelNetwork

#: Of a socket: then nobody who looks for the cause of a failure tries a real connection.
_ADDRESS = "unix:///model/redis.sock?prefix={prefix}&timeout={timeout}"


class ModelDialer:
    """Opens a process's connections. Implements `Dials`.

    Args:
        network: where to.
        process: the process's name.
    """

    def __init__(self, network: ModelNetwork, process: str) -> None:
        self._network = network
        self._process = process

    async def dial(self, node: Node | None = None) -> asyncio.StreamWriter:
        """See `Dials.dial`."""
        assert node is None, "there is one server"
        return await self._network.dial(self._process)

    async def close(self) -> None:
        """See `Dials.close`."""


def model_store(
    network: ModelNetwork,
    process: str,
    *,
    prefix: str = "dls",
    timeout: float = 5.0,
    token: Callable[[], str] = random_token,
    retention: Retention | None = None,
    economy: bool = False,
    now: Callable[[], int] | None = None,
    monotonic: Callable[[], int] | None = None,
) -> RedisStore:
    """A store that is not open yet.

    Args:
        network: the way to the server.
        process: the name of the process that it belongs to.
        prefix: what its keys begin with.
        timeout: seconds that it waits for the server.
        token, retention, economy, now, monotonic: see `RedisStore`.
    """
    return RedisStore(
        RedisAddress.parse(_ADDRESS.format(prefix=prefix, timeout=timeout)),
        retention=retention,
        economy=economy,
        now=now,
        monotonic=monotonic,
        token=token,
        dialer=ModelDialer(network, process),
    )


async def open_model_store(
    network: ModelNetwork,
    process: str,
    *,
    token: Callable[[], str] = random_token,
    retention: Retention | None = None,
    economy: bool = False,
) -> RedisStore:
    """A store that is open. See `model_store` and `Store.open`."""
    store = model_store(network, process, token=token, retention=retention, economy=economy)
    await store.open()
    return store
