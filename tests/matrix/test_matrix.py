"""Nobody reads or changes what is another's: every route, method, identity and form of an id."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.stores import open_store
from tests.matrix.identities import Headers, strangers
from tests.matrix.requests import Asked, asked
from tests.matrix.routes import VERBS, Operation, described, operations
from tests.matrix.site import CHAT, Site, serving
from tests.redis_servers import RedisServer, redis_server

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("redis"), pytest.mark.timeout(300)]

_AT_LEAST = 5_000
_BETWEEN_LOOKS = 50
_NUMBERS = itertools.count(1)


@pytest.fixture(params=["sqlite", "redis"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer
) -> AsyncIterator[Site]:
    address = f"sqlite:///{tmp_path}/chats.db"
    if request.param == "redis":
        address = f"{redis_server.url}?prefix=matrix{next(_NUMBERS)}"
    store = open_store(address)
    (tmp_path / "ui").mkdir()
    try:
        async with serving(store, tmp_path / "ui") as site:
            yield site
    finally:
        await store.close()


def known_to(site: Site) -> dict[str, Headers]:
    cookies = (site.cookie.partition("=")[2], site.another.partition("=")[2])
    return strangers(site.victim.owner, *cookies)


async def _attack(site: Site) -> tuple[Counter[Any], list[str]]:
    """Send everything. Returns what was answered, and what was got or changed."""
    answered: Counter[Any] = Counter()
    found: list[str] = []
    everything = list(asked(operations(site.app), site.victim))
    await site.remember()
    for who, identity in known_to(site).items():
        for number, one in enumerate(everything):
            if number % _BETWEEN_LOOKS == 0 and who == "another visitor":
                await site.give_another_a_chat()
            answer = await site.send(one, identity)
            answered[one.method, answer.status] += 1
            if site.leaks(answer):
                found.append(f"{who} read by {one}: {answer.status} {answer.body[:300]!r}")
            if number % _BETWEEN_LOOKS == 0 and not await site.is_unchanged():
                found.append(f"{who} changed something by {one}, or a little before")
                await site.remember()
        if not await site.is_unchanged():
            found.append(f"{who} changed something")
            await site.remember()
    return answered, found


@pytest.mark.promise("owned")
async def test_no_stranger_reads_or_changes_a_chat_whatever_they_send(
    site: Site,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.CRITICAL, "durable_llm_streams"):  # broken hooks are many
        answered, found = await _attack(site)
    size = sum(answered.values())
    codes = Counter({status: 0 for _, status in answered})
    for (_, status), count in answered.items():
        codes[status] += count
    with capsys.disabled():
        print(
            f"\n  matrix, {request.node.callspec.id}: {size:,} combinations of "
            f"{len(operations(site.app))} operations and {len(known_to(site))} identities; "
            f"{len(found)} foreign; " + ", ".join(f"{k}: {v:,}" for k, v in sorted(codes.items()))
        )
    assert found == []
    assert size >= _AT_LEAST
    assert answered["POST", 200] > 0, "nobody got a chat of their own"


@pytest.mark.promise("owned")
async def test_the_owner_reads_and_changes_and_the_matrix_notices_it(site: Site) -> None:
    """The positive control: what counts as a leak and as a change is really found."""
    me = {"cookie": site.cookie}
    await site.remember()
    cursor = site.victim.ended_cursor
    for address in ("/api/chats", f"/api/chats/{CHAT}", f"/api/chat/{CHAT}/stream",
                    f"/api/chat/{CHAT}/stream?after={cursor}", "/api/chats?q=s3cret",
                    f"/api/events?after={site.victim.position}"):  # fmt: skip
        answer = await site.send(Asked("GET", address, {}, b""), me)
        assert answer.status == 200
        assert site.leaks(answer) or address.startswith("/api/events"), address
        assert await site.is_unchanged(), address
    for method, address, body in (
        ("PATCH", f"/api/chats/{CHAT}", b'{"title":"New"}'),
        ("POST", f"/api/chat/{CHAT}/stop", b""),
        ("DELETE", f"/api/chats/{CHAT}", b""),
    ):
        answer = await site.send(Asked(method, address, {}, body), me)
        assert answer.status in (200, 204), address
        if method != "DELETE":
            assert not await site.is_unchanged(), address
            await site.remember()
    answer = await site.send(Asked("GET", "/api/chats", {}, b""), me)
    assert answer.body == b'{"chats":[],"next":null}'


async def test_every_route_says_what_it_does_and_is_described(site: Site) -> None:
    found = operations(site.app)
    undeclared = found - {Operation(*key) for key in VERBS}
    assert not undeclared, f"say in tests/matrix/routes.py what these do: {sorted(undeclared)}"
    api = {operation for operation in found if operation.path.startswith(("/api/", "/v1/"))}
    assert api <= described(site.app), "the OpenAPI document leaves out a route"
    assert described(site.app) <= found, "the walk over the routes misses one"
    assert {VERBS[operation] for operation in api} == {"read", "write", "none"}


def test_no_module_of_the_server_looks_at_all_owners() -> None:
    """`Store.operators` finds runs of everybody: it is for commands."""
    folder = Path(__file__).parents[2] / "src/durable_llm_streams/server"
    for module in folder.rglob("*.py"):
        assert "operators" not in module.read_text(), module.name
