"""What every response carries, whatever it is: the test walks the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.app import App, Guest, running_app
from tests.edge.raw import connected

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
HTTPS = {"X-Forwarded-Proto": "https"}


def paths(app: FastAPI) -> Iterator[str]:
    """An address of each route, those of included routers too."""

    def walk(routes: object) -> Iterator[str]:
        for route in routes if isinstance(routes, list | tuple) else ():
            path = getattr(route, "path", None)
            if isinstance(path, str):
                yield re.sub(r"\{\w+(:path)?\}", "c1", path)
            for inner in ("routes", "original_router"):
                below = getattr(route, inner, None)
                yield from walk(getattr(below, "routes", below))

    yield from walk(app.routes)


def assert_secured(headers: Mapping[str, str], where: object) -> None:
    assert headers.get("x-content-type-options") == "nosniff", where
    assert headers.get("cross-origin-resource-policy") == "same-origin", where
    assert headers.get("referrer-policy") == "no-referrer", where
    assert "frame-ancestors 'none'" in headers.get("content-security-policy", ""), where
    assert headers.get("x-frame-options") == "DENY", where
    assert headers.get("cache-control"), where


async def test_every_response_of_every_route_is_secured(tmp_path: Path) -> None:
    ui = tmp_path / "static"
    ui.mkdir()
    (ui / "index.html").write_text("<!doctype html>")
    async with running_app(tmp_path, ui=ui, proxies=["127.0.0.1"]) as app, app.guest() as guest:
        found = sorted({*paths(app.server._app), "/nowhere"})
        assert {"/api/chat", "/api/chats", "/healthz", "/docs", "/", "/c/c1"} <= set(found), found
        assert len(found) >= 12
        for path in found:
            for method in METHODS:
                async with await guest.open(method, path, headers=HTTPS) as response:
                    where = (method, path, response.status)
                    assert_secured(response.headers, where)
                    https_only = response.headers.get("strict-transport-security")
                    assert https_only == "max-age=31536000", where
                    names = [name.lower() for name in response.headers]
                    assert len(set(names)) == len(names), where
        plain = await guest.get("/healthz")
        assert "strict-transport-security" not in plain.headers


async def test_streams_failures_and_refusals_are_secured_too(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async with app.guest() as guest:
        assert_secured((await guest.send()).headers, "stream")
        monkeypatch.setattr(app.store.chats, "page", broken)
        failed = await guest.get("/api/chats")
        assert failed.status == 500
        assert_secured(failed.headers, "failure")
        app.errors.clear()
    for data in (
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000,
    ):
        async with connected(app, data) as client:
            head = (await client.rest()).partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        assert_secured(dict(line.split(": ", 1) for line in head), data[:20])


# --- /docs ---------------------------------------------------------------------------------------


async def test_the_page_about_the_api_shows_every_operation_and_loads_nothing(guest: Guest) -> None:
    page = await guest.get("/docs")
    text = page.raw.decode()
    document = (await guest.get("/openapi.json")).json
    for path, item in document["paths"].items():
        for method in item:
            assert f"<h2><b>{method}</b> {path}</h2>" in text, (method, path)
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", text) == ["/openapi.json"]
    assert "<script" not in text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert (await guest.get("/redoc")).status == 404


async def test_the_page_can_be_switched_off(tmp_path: Path) -> None:
    async with running_app(tmp_path, docs=False) as app, app.guest() as guest:
        for path in ("/docs", "/openapi.json", "/redoc"):
            found = await guest.get(path)
            assert found.status == 404
            assert "/docs" not in found.json["detail"]
        assert (await guest.send()).end == "finish"


@pytest.fixture
async def guest(app: App) -> object:
    async with app.guest() as guest:
        yield guest
