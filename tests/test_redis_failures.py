"""What the errors of Redis and of the network mean."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.connect import Dialer
from durable_llm_streams.stores.redis.client.errors import (
    RedisConnectionError,
    RedisTimeoutError,
    ResponseError,
)
from durable_llm_streams.stores.redis.client.failures import causes, unavailable

pytestmark = pytest.mark.promise("outage")


def test_chained_errors_are_reported_once_each() -> None:
    # as when a connection's error is raised again while the one that it caused is handled
    first, second = RedisConnectionError("The connection was cut."), RedisTimeoutError("Too late.")
    first.__cause__, second.__context__ = second, first
    assert list(causes(first)) == [first, second]
    assert list(causes(second)) == [second, first]
    second.__context__, second.__cause__ = None, second
    assert list(causes(second)) == [second]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (RedisConnectionError("Cut off."), "cannot be reached (Cut off)"),
        (RedisTimeoutError(), "does not answer in time (RedisTimeoutError)"),
        (ResponseError("ERR user_script:3: attempt to index a nil value"), None),
        ("OOM command not allowed", "is out of memory"),
        ("LOADING Redis is loading", "is loading its data"),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL",
            "busy with a script",
        ),
        ("MISCONF Redis is configured to save RDB snapshots", "cannot write its data to its disk"),
        ("NOREPLICAS Not enough good replicas to write", "too few replicas"),
        ("TRYAGAIN Multiple keys request during rehashing", "is moving these keys"),
        ("ERR max number of clients reached", "too many clients"),
        ("WRONGPASS invalid username-password pair", "refuses the user or the password"),
        ("ERR invalid password", "refuses the user or the password"),
        ("ERR AUTH <password> called without any password configured", "wants no password"),
        ("ERR Client sent AUTH, but no password is set", "wants no password"),
    ],
)
def test_what_may_pass_is_named_and_a_mistake_in_a_script_is_not(
    error: Exception | str, meaning: str | None
) -> None:
    found = unavailable(ResponseError(error) if isinstance(error, str) else error)
    assert (found is None) is (meaning is None), f"{error!r} means {found}"
    assert f"{meaning}" in str(found)
    assert found is None or str(found).endswith("; it is tried again.")


async def test_a_transport_that_closes_while_it_opens_is_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect(*_: object, **__: object) -> NoReturn:  # as uvloop does it
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    with pytest.raises(RedisConnectionError, match=r"connecting to 127.*unable to perform"):
        await Dialer(RedisAddress.parse("redis://127.0.0.1:1")).dial()
