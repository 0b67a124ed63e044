"""Below a path, called from other sites, shown in their frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.server.site import Site
from tests.app import App, Guest, Reading, begun, read_until, running_app
from tests.http.conftest import app_with

PAGE = '<!doctype html><head><base href="/" /><script src="theme.js"></script></head>'
APP_SITE = "https://app.example.org"
OTHER_SITE = "https://evil.example"
HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built interface whose addresses are relative, and its compressed page."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "index.html.br").write_bytes(b"compressed by the build")
    (folder / "theme.js").write_text("1")
    (folder / "assets" / "a-B.js").write_text("2")
    return folder


@asynccontextmanager
async def visiting(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[App, Guest]]:
    """A visitor of an application with these options of `running_app`."""
    async with running_app(tmp_path, **options) as app, app.guest() as guest:
        yield app, guest


# --- below a path --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/tools/chat", ""], ids=["handed on", "stripped by the proxy"])
async def test_below_a_path_everything_is_served(tmp_path: Path, folder: Path, prefix: str) -> None:
    async with visiting(tmp_path, base_path="/tools/chat/", ui=folder) as (_, guest):
        # A browser sends the cookie below the path, whatever the proxy makes of the address.
        first = (await guest.get(f"{prefix}/")).headers["set-cookie"]
        assert "; Path=/tools/chat;" in first
        cookie = {"Cookie": first.partition(";")[0]}
        for path in ("/", "/c/c1"):
            page = await guest.get(prefix + path, headers={"Accept-Encoding": "br", **cookie})
            assert page.raw.decode() == PAGE.replace('href="/"', 'href="/tools/chat/"')
            assert "content-encoding" not in page.headers
            again = {"If-None-Match": page.headers["etag"]}
            assert (await guest.get(f"{prefix}/", headers=again)).status == 304
        for path, text in (("/theme.js", "1"), ("/assets/a-B.js", "2"), ("/healthz", "ok\n")):
            assert (await guest.get(prefix + path)).raw.decode() == text
        body = guest.body("Hi")
        sent = await guest.call("POST", f"{prefix}/api/chat", json=body, headers=cookie)
        assert sent.text == "Hello, world."
        snapshot = await guest.get(f"{prefix}/api/chats/c1", headers=cookie)
        assert snapshot.json["title"] == "Hi"
        async with await guest.open("GET", f"{prefix}/api/events") as feed:
            await read_until(feed)
        assert '"/tools/chat/openapi.json"' in (await guest.get(f"{prefix}/docs")).raw.decode()
        document = (await guest.get(f"{prefix}/openapi.json")).json
        assert document["servers"] == [{"url": "/tools/chat"}]
        assert "/api/chat" in document["paths"]
        assert (await guest.get(f"{prefix}/nothing")).status == 404


async def test_the_path_without_a_slash_leads_to_the_page(tmp_path: Path, folder: Path) -> None:
    async with visiting(tmp_path, base_path="/chat", ui=folder) as (_, guest):
        reading = await guest.get("/chat?q=%C3%A9", allow_redirects=False)
        assert (reading.status, reading.headers["location"]) == (307, "/chat/?q=%C3%A9")
        assert (await guest.get("/chat")).status == 200
        assert (await guest.get("/chatter")).status == 404


async def test_a_mounted_application_uses_its_path(tmp_path: Path, folder: Path) -> None:
    async with visiting(tmp_path, ui=folder) as (app, guest):
        served = app.server.config.loaded_app
        app.server.config.loaded_app = Starlette(routes=[Mount("/sub", served)])
        page = await guest.get("/sub/")
        assert '<base href="/sub/" />' in page.raw.decode()
        assert "; Path=/sub;" in page.headers["set-cookie"]
        assert (await guest.call("POST", "/sub/api/chat", json=guest.body("Hi"))).end == "finish"


@pytest.mark.parametrize(
    "path",
    ["chat", "//evil.example", "/a//b", "/a/../b", "/..", "/a?b", "/a#b", "/a b", '/"><script>',
     "https://example.org/chat", "/é", "/%2e", "/a\\b", "/api", "/api/chat", "/c", "/c/c1", "/docs",
     "/assets", "/healthz"],
)  # fmt: skip
async def test_a_path_that_cannot_be_is_refused_with_a_sentence(
    tmp_path: Path, folder: Path, path: str
) -> None:
    with pytest.raises(InvalidSetting, match=r"DLS_BASE_PATH .*`/chat`.*\."):
        async with visiting(tmp_path, base_path=path, ui=folder):
            pass  # pragma: no cover


@pytest.mark.parametrize(
    ("path", "base"),
    [("", ""), ("/", ""), (" /chat/ ", "/chat"), ("/a/b", "/a/b"), ("/~me/v1.0_x", "/~me/v1.0_x")],
)
def test_a_path_needs_no_slash_at_its_end(path: str, base: str) -> None:
    assert Site.checked(path, (), ()).base_path == base


# --- pages of other sites ------------------------------------------------------------------------


def preflight(origin: str, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


def allowed(reading: Reading) -> tuple[str | None, str | None]:
    """What an answer allows: the origin, and whether with cookies."""
    names = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")
    return reading.headers.get(names[0]), reading.headers.get(names[1])


async def test_by_default_no_other_site_is_let_in(guest: Guest) -> None:
    asked = await guest.call("OPTIONS", "/api/chat", headers=preflight(APP_SITE))
    assert asked.status == 405
    assert allowed(await guest.get("/api/chats", headers={"Origin": APP_SITE}))[0] is None


@app_with(cors_origins=(APP_SITE,))
async def test_a_named_site_may_call_everything(guest: Guest) -> None:
    for path, method in (
        ("/api/chat", "POST"), ("/api/chats/c1", "PATCH"), ("/api/chats/c1", "DELETE"),
        ("/api/chat/c1/stream", "GET"),
    ):  # fmt: skip
        headers = preflight(APP_SITE, method, "content-type,last-event-id,idempotency-key,x-y")
        asked = await guest.call("OPTIONS", path, headers=headers)
        assert (asked.status, allowed(asked)) == (200, (APP_SITE, "true"))
        methods = asked.headers["Access-Control-Allow-Methods"].split(", ")
        assert sorted(methods) == ["DELETE", "GET", "HEAD", "PATCH", "POST"]
        assert "last-event-id" in asked.headers["Access-Control-Allow-Headers"]
        assert asked.headers["Access-Control-Max-Age"] == "7200"
    named = {"Origin": APP_SITE, "Sec-Fetch-Site": "cross-site"}
    sent = await guest.post(guest.body("Hi"), headers=named)
    assert (sent.end, allowed(sent)) == ("finish", (APP_SITE, "true"))
    exposed = sent.headers["Access-Control-Expose-Headers"].split(", ")
    assert exposed == ["Retry-After", "X-Run-Id", "X-Vercel-AI-UI-Message-Stream"]
    assert "Origin" in sent.headers["Vary"]
    missing = await guest.get("/api/chats/none", headers={"Origin": APP_SITE})
    assert (missing.status, allowed(missing)) == (404, (APP_SITE, "true"))
    refused = await guest.call("OPTIONS", "/api/chat", headers=preflight(APP_SITE, "PUT"))
    assert (refused.status, refused.json["title"]) == (403, "Not from other sites")
    assert refused.json["type"].endswith(":cross-origin")
    assert "this method" in refused.json["detail"]


@pytest.mark.promise("owned")
@pytest.mark.parametrize("setting", ["cors_origins", "frame_ancestors"])
async def test_a_site_that_is_not_named_can_change_nothing(tmp_path: Path, setting: str) -> None:
    config: dict[str, Any] = {setting: (APP_SITE,), "proxies": ["127.0.0.1"]}
    async with visiting(tmp_path, **config) as (app, guest), begun(app, guest):
        asked = await guest.call("OPTIONS", "/api/chat", headers=preflight(OTHER_SITE))
        assert asked.status == 403
        foreign = {"Origin": OTHER_SITE, "Sec-Fetch-Site": "cross-site"}
        opaque = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
        for headers in (foreign, {"Origin": OTHER_SITE, **HTTPS}, opaque):
            refused = await guest.call("POST", "/api/chat/c1/stop", headers=headers)
            assert refused.status == 403
            assert refused.json["type"].endswith(":cross-origin")
            assert "DLS_CORS_ORIGINS" in refused.json["detail"]
        assert (await guest.chat())["active_run"] is not None
        assert allowed(await guest.get("/api/chats", headers={"Origin": OTHER_SITE}))[0] is None
        own = {"Origin": guest.url, "Sec-Fetch-Site": "same-origin"}
        assert (await guest.call("POST", "/api/chat/c1/stop", headers=own)).status == 200
        app.script.free()
        cookie = (await guest.get("/api/visitor", headers={**HTTPS, "Cookie": ""})).headers
        assert cookie["set-cookie"].endswith("; SameSite=None; Secure")


@pytest.mark.promise("owned")
@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({"Origin": OTHER_SITE, "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": OTHER_SITE, "Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": OTHER_SITE, "Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": "null", "Sec-Fetch-Site": "none"}, False),
        ({"Origin": APP_SITE, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": OTHER_SITE, "Authorization": "Bearer x"}, False),
        ({"Origin": OTHER_SITE, "Authorization": "Basic x"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": OTHER_SITE, **HTTPS}, True),
        ({"Origin": OTHER_SITE}, True),
        ({"Origin": "http://a.example", "Host": "A.example:80"}, False),
        ({"Origin": "http://a.example:81", "Host": "a.example"}, True),
        ({}, False),
        ({"Origin": "https://a.example:8", "Host": "a.example:8", **HTTPS}, False),
        ({"Origin": "https://a.example:8", "Host": "a.example:9", **HTTPS}, True),
        ({"Origin": "https://a.example", "X-Forwarded-Host": "a.example", **HTTPS}, False),
    ],
)
@app_with(cors_origins=(APP_SITE,), proxies=["127.0.0.1"])
async def test_a_request_is_cross_site_by_the_browsers_headers(
    guest: Guest, headers: dict[str, str], foreign: bool
) -> None:
    for method, path, status in (
        ("POST", "/api/chat/c1/stop", 404), ("PATCH", "/api/chats/c1", 415),
        ("DELETE", "/api/chats/c1", 404), ("PUT", "/api/chats/c1", 405),
        ("GET", "/api/chats/c1", 404), ("HEAD", "/healthz", 200), ("OPTIONS", "/x", 404),
    ):  # fmt: skip
        safe = method in ("GET", "HEAD", "OPTIONS")
        found = (await guest.call(method, path, headers=headers)).status
        assert found == (403 if foreign and not safe else status), (method, path)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.org", "https://app.example.org"),
        ("https://APP.example.org:443/", "https://app.example.org"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_read_as_browsers_write_it(text: str, origin: str) -> None:
    assert Site.checked("", [text], [text]) == Site("", (origin,), (origin,))


@pytest.mark.parametrize("setting", ["DLS_CORS_ORIGINS", "DLS_FRAME_ANCESTORS"])
@pytest.mark.parametrize(
    "text",
    ["*", "null", "app.example.org", "https://", "https://a.example/path", "https://a.example?b",
     "https://a.example:99999", "https://a b", "https://*", "https://a.*.example", "'self'",
     "https://a.example; script-src *", "https://user@a.example"],
)  # fmt: skip
def test_an_invalid_origin_is_refused_with_a_sentence(setting: str, text: str) -> None:
    cors, frames = ([text], []) if setting == "DLS_CORS_ORIGINS" else ([], [text])
    with pytest.raises(InvalidSetting, match=rf"{setting} .*https://app\.example\.org.*\.$"):
        Site.checked("", cors, frames)


def test_only_frames_may_be_on_any_subdomain() -> None:
    any_of = "https://*.example.org"
    assert Site.checked("", (), [any_of]).frame_ancestors == (any_of,)
    with pytest.raises(InvalidSetting):
        Site.checked("", [any_of], ())


async def test_named_sites_may_show_the_page_in_a_frame(tmp_path: Path, folder: Path) -> None:
    sites = (APP_SITE, "https://*.example.net")
    async with visiting(tmp_path, frame_ancestors=sites, ui=folder) as (_, guest):
        headers = (await guest.get("/")).headers
        policy = headers["content-security-policy"]
        assert policy.endswith(f"; frame-ancestors 'self' {' '.join(sites)}")
        assert "x-frame-options" not in headers
        assert allowed(await guest.get("/api/chats", headers={"Origin": APP_SITE}))[0] is None
