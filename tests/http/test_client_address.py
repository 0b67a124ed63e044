"""The address and the scheme of a client behind the nginx that deploy/ ships."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvicorn
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from durable_llm_streams.server.forwarded import behind_proxies
from tests.http.test_deploy import COMPOSE
from tests.nginx import Nginx
from tests.waiting import until

FORGED = [
    {"X-Forwarded-For": "6.6.6.6"},
    {"X-Forwarded-For": "6.6.6.6, 127.0.0.1"},
    {"X-Forwarded-For": "127.0.0.1, 6.6.6.6"},
    {"x-forwarded-for": "6.6.6.6", "X_Forwarded_For": "6.6.6.7", "X-Real-IP": "6.6.6.8"},
    {"X-Forwarded-Proto": "https"},
    {"Forwarded": "for=6.6.6.6;proto=https"},
]


async def _seen(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the address and the scheme that the application is given.

    The address must be all that nginx says: a server that believes everybody would take any other.
    """
    assert scope["type"] == "http"
    (said,) = Headers(scope=scope).getlist("x-forwarded-for")
    address = scope["client"][0]
    body = json.dumps([address if said == address else said, scope["scheme"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def behind_nginx(folder: Path, *, outer: str = "") -> AsyncGenerator[Nginx, None]:
    """nginx in front of an application that believes nginx alone, as `dls serve` does."""
    app = behind_proxies(_seen, "127.0.0.1")
    config = uvicorn.Config(app, port=0, proxy_headers=False, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, what="the server to listen")
        port = server.servers[0].sockets[0].getsockname()[1]
        async with Nginx(folder, [port], outer=outer) as nginx:
            yield nginx
    finally:
        server.should_exit = True
        await task


async def seen(nginx: Nginx, headers: dict[str, str], *, local: str) -> list[str]:
    """What the application is given of a request from a local address."""
    connector = aiohttp.TCPConnector(local_addr=(local, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(nginx.url, headers=headers) as response,
    ):
        found: list[str] = await response.json(content_type=None)
        return found


async def test_what_a_client_says_of_its_address_and_scheme_changes_nothing(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path) as nginx:
        for headers in ({}, *FORGED):
            assert await seen(nginx, headers, local="127.0.0.7") == ["127.0.0.7", "http"], headers


@pytest.mark.parametrize("local", ["127.0.0.9", "127.0.0.7"], ids=["the proxy", "a client"])
async def test_an_outer_proxy_that_is_named_is_believed_and_nobody_else(
    tmp_path: Path, local: str
) -> None:
    async with behind_nginx(tmp_path, outer="127.0.0.9/32") as nginx:
        for addresses in ("203.0.113.7", "6.6.6.6, 203.0.113.7", "203.0.113.7, 127.0.0.9"):
            for scheme in ("https", "HTTPS", "https, http"):
                headers = {"X-Forwarded-For": addresses, "X-Forwarded-Proto": scheme}
                found = await seen(nginx, headers, local=local)
                trusted = local == "127.0.0.9"
                assert found == (["203.0.113.7", "https"] if trusted else [local, "http"])
        plain = await seen(nginx, {"X-Forwarded-Proto": "http"}, local=local)
        assert plain == [local, "http"]


def test_the_servers_of_compose_believe_the_address_of_nginx_alone() -> None:
    (trusted,) = re.findall(r"^    FORWARDED_ALLOW_IPS: (\S+)", COMPOSE, re.MULTILINE)
    (nginx,) = re.findall(r"^        ipv4_address: (\S+)", COMPOSE, re.MULTILINE)
    (network,) = re.findall(r"- subnet: (\S+)/24", COMPOSE)
    assert trusted == nginx
    assert nginx.rpartition(".")[0] == network.rpartition(".")[0]
