"""Anything at all is sent to a running server, over a socket: never a 500, never a trace."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app import App, Guest, running_app
from tests.test_wire_aisdk import anything, bodies

pytestmark = pytest.mark.promise("foreign-bytes")

EXPECTED = {200, 400, 404, 409}

calls = st.one_of(
    st.tuples(st.just("POST"), st.just("/api/chat"), bodies | anything),
    st.tuples(st.just("PATCH"), st.just("/api/chats/c1"), anything),
    st.tuples(
        st.sampled_from(["GET", "POST", "DELETE"]),
        st.sampled_from(["/api/chats/", "/api/chat/", "/api/chats?before=", "/api/chats?q="]),
        st.text(max_size=5),
    ),
)


@given(st.lists(calls, min_size=10, max_size=30))
@settings(
    derandomize=False,  # fresh requests each time, on every machine; see test_targets
    max_examples=6,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_request_makes_the_server_fail(tmp_path_factory: Any, requests: list[Any]) -> None:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    asyncio.run(_send_all(folder, requests))


async def _send_all(folder: Path, requests: list[Any]) -> None:
    async with running_app(folder) as app, app.guest() as guest:
        await guest.send("First")
        for method, path, what in requests:
            await _send(app, guest, method, path, what)
        assert (await guest.send("Last", chat="last")).text == "Hello, world."


async def _send(app: App, guest: Guest, method: str, path: str, what: Any) -> None:
    options: dict[str, Any] = {}
    if (method == "POST" and path == "/api/chat") or method == "PATCH":
        data = json.dumps(what).encode()
        options = {"data": data, "headers": {"Content-Type": "application/json"}}
    else:
        path += what.encode(errors="replace").decode()
    try:
        reading = await guest.call(method, path, **options)
    except (aiohttp.InvalidURL, ValueError):
        return  # the client itself sends no such thing
    allowed = EXPECTED | ({204, 405, 415} if "data" not in options else set())
    assert reading.status in allowed, (method, path, what, reading.raw)
    if reading.status >= 400:
        assert reading.headers["content-type"] == "application/problem+json"
    assert app.errors == []
