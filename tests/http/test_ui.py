"""The web interface's files: which of them, in which form, with which headers."""

from __future__ import annotations

import gzip
import inspect
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.requests import HTTPConnection
from yarl import URL

import durable_llm_streams
from durable_llm_streams.server import Principal, Unauthenticated, create_app
from tests.app import App, Guest, Reading, running_app

PAGE = '<!doctype html><script type="module" src="/assets/index-B1x.js"></script>'
SCRIPT = 'console.log("é")'

#: The files of the build: by name, with the content type that the browser must get.
FILES = {
    "theme.js": ("document.title = 1", "text/javascript; charset=utf-8"),
    "licenses.md": ("# Ours", "text/plain; charset=utf-8"),
    "icon.svg": ("<svg/>", "image/svg+xml"),
    "assets/index-B1x.js": (SCRIPT, "text/javascript; charset=utf-8"),
    "assets/index-B1x.css": ("p {}", "text/css; charset=utf-8"),
    "assets/geist-a.woff2": ("wOF2", "font/woff2"),
    "assets/index-B1x.js.map": ("{}", "application/json"),
    "assets/words-C.json": ("[]", "application/json"),
    "assets/deep/er-D.js": ("1", "text/javascript; charset=utf-8"),
    "assets/größe-F.css": ("q {}", "text/css; charset=utf-8"),
    "assets/unknown-E.xyz": ("?", "application/octet-stream"),
}
#: The page, and files with and without compressed forms.
SOME = ("/", "/c/c1", "/theme.js", "/assets/index-B1x.js")
HIDDEN = (".build-id", "assets/.hidden.js", ".git/config")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built interface. Files outside it must not be served."""
    folder = tmp_path / "static"
    contents = {name: content for name, (content, _) in FILES.items()}
    contents |= {"index.html": PAGE, **dict.fromkeys(HIDDEN, "hidden"), "../secret.js": "secret"}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for name in ("index.html", "assets/index-B1x.js"):
        path = folder / name
        for ending in (".gz", ".br"):  # only their bytes matter: they go out as they are
            packed = gzip.compress(path.read_bytes() + ending.encode())
            path.with_name(path.name + ending).write_bytes(packed)
    return folder


@pytest.fixture
async def app(tmp_path: Path, folder: Path) -> AsyncIterator[App]:
    async with running_app(tmp_path, ui=folder) as app:
        yield app


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    """A browser that gets bodies as they are sent."""
    async with app.guest(auto_decompress=False) as guest:
        yield guest


async def get(
    guest: Guest, path: str, accept: str = "identity", *, method: str = "GET", tag: str = ""
) -> Reading:
    """A request whose address is sent as it stands here."""
    headers = {"Accept-Encoding": accept, **({"If-None-Match": tag} if tag else {})}
    url = URL(guest.url + path, encoded=True)
    async with guest.session.request(method, url, headers=headers) as response:
        return Reading(response.status, response.headers, await response.read())


async def test_the_page_is_shown_for_every_chat(guest: Guest) -> None:
    assert "set-cookie" in (await get(guest, "/")).headers
    for path in ("/", "/c/c1", "/c/no-such-chat", "/c/%20", "/c/a%2Fb", "/c/c1?leaf=m1", "/?q=x"):
        reading = await get(guest, path)
        assert (reading.status, reading.raw.decode()) == (200, PAGE), path
        assert reading.headers["content-type"] == "text/html; charset=utf-8"
        assert "set-cookie" not in reading.headers
    for path in ("/c", "/C/c1", "/index.html"):
        assert (await get(guest, path)).status == 404, path


async def test_the_page_is_served_without_a_known_visitor(tmp_path: Path, folder: Path) -> None:
    async def nobody(_: HTTPConnection) -> Principal:
        raise Unauthenticated("Sign in.")

    async with running_app(tmp_path, ui=folder, authenticate=nobody) as app, app.guest() as guest:
        assert (await get(guest, "/")).raw.decode() == PAGE
        assert (await guest.get("/api/chats")).status == 401


async def test_a_file_is_sent_as_what_it_is(guest: Guest) -> None:
    for name, expected in {**FILES, "favicon.ico": FILES["icon.svg"]}.items():
        reading = await get(guest, f"/{quote(name)}")
        assert reading.status == 200, name
        assert (reading.raw.decode(), reading.headers["content-type"]) == expected
        assert reading.headers["x-content-type-options"] == "nosniff"
        assert reading.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in reading.headers


async def test_files_with_a_hash_in_their_name_are_cached_and_others_revalidated(
    guest: Guest,
) -> None:
    asset = await get(guest, "/assets/index-B1x.js")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/", "/c/c1", "/theme.js", "/icon.svg", "/favicon.ico"):
        reading = await get(guest, path)
        page = path in ("/", "/c/c1")  # with a cookie in it, perhaps
        assert reading.headers["cache-control"] == ("private, no-cache" if page else "no-cache")
        assert reading.headers["etag"]


async def test_what_the_browser_has_is_not_sent_again(guest: Guest) -> None:
    for path in SOME:
        tags = set()
        for accept in ("identity", "gzip", "br, gzip"):
            first = await get(guest, path, accept)
            tag = first.headers["etag"]
            tags.add(tag)
            for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                again = await get(guest, path, accept, tag=known)
                assert (again.status, again.raw) == (304, b"")
                for name in ("etag", "cache-control", "vary"):
                    assert again.headers[name] == first.headers[name]
                assert "content-type" not in again.headers
            for other in ('"other"', tag.strip('"'), tag[:-2] + '"'):
                assert (await get(guest, path, accept, tag=other)).status == 200
        assert len(tags) == (1 if path == "/theme.js" else 3)  # a tag for each form


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br", "br"),
        ("BR;q=1.0", "br"),
        ("gzip", "gzip"),
        ("gzip, br;q=0", "gzip"),
        ("br;q=0.1, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("gzip;q=0.8, *;q=0", "gzip"),
        ("", None),
        ("identity", None),
        ("deflate, zstd", None),
        ("gzip;q=0, br;q=0.0", None),
        ("br;q=x, ;;, gzip=1;q", "gzip=1"),
    ],
)
async def test_the_best_form_that_the_browser_takes_is_sent(
    guest: Guest, folder: Path, accept: str, coding: str | None
) -> None:
    ending = {"br": ".br", "gzip": ".gz"}.get(coding or "", "")
    for path, name in (("/", "index.html"), ("/assets/index-B1x.js", "assets/index-B1x.js")):
        reading = await get(guest, path, accept)
        assert reading.raw == (folder / (name + ending)).read_bytes()
        assert reading.headers.get("content-encoding") == (coding if ending else None)
        assert reading.headers["vary"] == "Accept-Encoding"
        assert reading.headers["content-type"].startswith("text/")


async def test_files_are_only_read_and_their_heads_are_those_of_their_bodies(guest: Guest) -> None:
    await get(guest, "/")  # the cookie comes once
    for path in SOME:
        whole = await get(guest, path, "br")
        head = await get(guest, path, "br", method="HEAD")
        assert (head.status, head.raw) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.raw))
        dated = {"date": ""}
        assert {**head.headers, **dated} == {**whole.headers, **dated}
        for method in ("POST", "PUT", "DELETE"):
            assert (await get(guest, path, method=method)).status == 405


async def test_nothing_but_the_interface_is_given_out(guest: Guest) -> None:
    ways = ["../secret.js", "..%2fsecret.js", "%2e%2e/secret.js", "%2e%2e%2fsecret.js"]
    ways += ["..%5csecret.js", "....//secret.js", "x/../../secret.js", "%252e%252e%252fsecret.js"]
    ways += ["/etc/passwd", "%2fetc%2fpasswd", "..%00/secret.js", "index-B1x.js%00", ".", ".."]
    ways += [quote("../" * 20) + "etc/passwd", "", "/", "deep", "deep/"]
    for way in ways:
        for start in ("/", "/assets/", "/assets/deep/"):
            reading = await get(guest, start + way)
            assert reading.status == 404 or reading.raw.decode() == PAGE, start + way
            assert b"secret" not in reading.raw
            assert b"root:" not in reading.raw
    for name in (*HIDDEN, "index.html.gz", "assets/index-B1x.js.br", "assets/index-B1x.js.gz"):
        assert (await get(guest, f"/{name}")).status == 404, name


async def test_a_file_of_another_build_gives_a_problem_with_the_reason(guest: Guest) -> None:
    reading = await get(guest, "/assets/index-OLD.js", "br, gzip")
    assert reading.status == 404
    assert reading.headers["content-type"] == "application/problem+json"
    assert "Load the page again" in reading.json["detail"]
    assert reading.headers["cache-control"] == "no-store"


@pytest.mark.promise("harmless-text")
async def test_a_page_runs_only_its_own_scripts_and_stands_in_no_other_page(guest: Guest) -> None:
    for path, accept in itertools.product(("/", "/c/c1"), ("identity", "br")):
        headers = (await get(guest, path, accept)).headers
        directives = [part.strip() for part in headers["content-security-policy"].split(";")]
        policy = {name: sources for name, *sources in map(str.split, directives)}
        assert policy["default-src"] == ["'none'"]
        assert policy["script-src"] == policy["connect-src"] == ["'self'"]
        assert policy["img-src"] == ["'self'", "data:"]
        assert policy["base-uri"] == ["'self'"]
        for closed in ("form-action", "frame-ancestors"):
            assert policy[closed] == ["'none'"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert "camera=()" in headers["permissions-policy"]


async def test_the_api_and_its_description_are_where_they_were(guest: Guest) -> None:
    assert (await get(guest, "/api/chats")).json["chats"] == []
    assert (await get(guest, "/docs")).status == 200
    paths = (await get(guest, "/openapi.json")).json["paths"]
    assert [path for path in paths if not path.startswith(("/api/", "/healthz", "/readyz"))] == []


async def test_a_build_beside_a_running_server_changes_nothing(guest: Guest, folder: Path) -> None:
    (folder / "index.html").write_text("A new one")
    (folder / "assets/index-B1x.js").unlink()
    assert (await get(guest, "/")).raw.decode() == PAGE
    assert (await get(guest, "/assets/index-B1x.js")).raw.decode() == SCRIPT


@pytest.mark.parametrize("missing", ["folder", "page", "interface"])
async def test_without_the_interface_the_page_explains_it_and_the_api_works(
    tmp_path: Path, folder: Path, missing: str
) -> None:
    (folder / "index.html").unlink()
    ui = {"folder": tmp_path / "nowhere", "page": folder, "interface": None}[missing]
    async with running_app(tmp_path, ui=ui) as app, app.guest() as guest:
        for path in ("/", "/c/c1"):
            reading = await guest.get(path)
            assert reading.status == 200
            assert reading.headers["content-type"] == "text/plain; charset=utf-8"
            text = reading.raw.decode()
            assert "`make run`" in text
            assert f"curl -b jar {app.url}/api/chats/first" in text
            assert (await guest.call("HEAD", path)).status == 200
        for path in ("/theme.js", "/assets/index-B1x.js"):
            assert (await guest.get(path)).status == 404
        assert (await guest.send()).text == "Hello, world."


def test_the_interface_that_is_served_is_the_packages_own() -> None:
    package = Path(durable_llm_streams.__file__).parent
    assert inspect.signature(create_app).parameters["ui"].default == package / "server/static"
