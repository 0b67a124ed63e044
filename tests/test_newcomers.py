"""How many new visitors may send from one address."""

from __future__ import annotations

import pytest

from durable_llm_streams.errors import TooManyVisitors
from durable_llm_streams.server.edge import network_of
from durable_llm_streams.server.newcomers import Newcomers

pytestmark = pytest.mark.promise("fair")


class Clock:
    """A monotonic clock that stands until it is moved."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_an_address_has_room_again_when_its_first_visitor_came_an_hour_ago() -> None:
    clock = Clock()
    newcomers = Newcomers(2, now=clock)
    newcomers.admit("192.0.2.1")
    clock.seconds += 600
    newcomers.admit("192.0.2.1")
    with pytest.raises(TooManyVisitors) as refused:
        newcomers.admit("192.0.2.1")
    assert (refused.value.limit, refused.value.retry_after) == (2, 3000)
    newcomers.admit("192.0.2.2")
    clock.seconds += 3000
    newcomers.admit("192.0.2.1")
    with pytest.raises(TooManyVisitors):
        newcomers.admit("192.0.2.1")


def test_a_limit_of_zero_is_none() -> None:
    newcomers = Newcomers(0)
    for _ in range(1000):
        newcomers.admit("192.0.2.1")


def test_the_addresses_that_came_longest_ago_are_forgotten() -> None:
    newcomers = Newcomers(1, remembered=2)
    for address in ("192.0.2.1", "192.0.2.2"):
        newcomers.admit(address)
    with pytest.raises(TooManyVisitors):
        newcomers.admit("192.0.2.1")
    newcomers.admit("192.0.2.3")
    with pytest.raises(TooManyVisitors):
        newcomers.admit("192.0.2.1")
    newcomers.admit("192.0.2.2")


def test_the_visitors_that_are_remembered_are_bounded() -> None:
    newcomers = Newcomers(1, remembered=2)
    for owner in ("ann", "bob", "cid"):
        newcomers.remember(owner)
    assert [owner for owner in ("ann", "bob", "cid") if newcomers.knows(owner)] == ["bob", "cid"]
    assert Newcomers(0).knows("ann")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
        ("testclient", "testclient", True),
    ],
)
def test_ipv6_addresses_count_by_their_first_64_bits(one: str, other: str, is_same: bool) -> None:
    assert (network_of(one) == network_of(other)) == is_same
