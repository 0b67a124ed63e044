"""What the errors of Redis, of the network and of redis-py mean."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from durable_llm_streams.stores.redis.client.failures import causes, unavailable

pytestmark = pytest.mark.promise("outage")


def test_errors_that_came_from_each_other_are_told_once_each() -> None:
    # as when a connection's error is raised again while the one that it caused is handled
    first, second = RedisConnectionError("The connection was cut."), RedisTimeoutError("Too late.")
    first.__cause__, second.__context__ = second, first
    assert list(causes(first)) == [first, second]
    assert list(causes(second)) == [second, first]
    error = unavailable(first)
    assert error is not None
    assert str(error) == "Redis cannot be reached (The connection was cut); it is tried again."


def test_an_error_that_is_its_own_cause_has_a_meaning() -> None:
    error = RedisConnectionError("The connection was cut.")
    error.__cause__ = error
    assert list(causes(error)) == [error]
    assert unavailable(error) is not None


def test_an_error_without_a_text_is_called_by_its_name() -> None:
    error = unavailable(RedisTimeoutError())
    assert str(error) == "Redis does not answer in time (TimeoutError); it is tried again."


def test_a_mistake_in_a_script_does_not_pass_by_itself() -> None:
    assert unavailable(ResponseError("ERR user_script:3: attempt to index a nil value")) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL",
            "busy with a script",
        ),
        ("MISCONF Redis is configured to save RDB snapshots", "cannot write its data to its disk"),
        ("ERR max number of clients reached", "too many clients"),
    ],
)
def test_what_a_server_cannot_do_for_now_is_named(error: str, words: str) -> None:
    assert words in str(unavailable(ResponseError(error)))
