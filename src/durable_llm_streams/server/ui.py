"""The web interface: the files of its build, in memory.

Theory of operation
===================
1. Everything is read once, so a new build does not change the files of a running server. An address
   is a key of a table, so it cannot lead out of the folder.
2. `assets/` has files whose names change with their content: browsers cache them for a year. Other
   files are revalidated each time, by their ETag.
3. The build compresses: `NAME.br` and `NAME.gz` are encodings of NAME, each with an ETag of its own
   (RFC 9110, section 8.8.3.3). Nothing is compressed here.
4. The page sets the cookie of a new visitor: its first requests are concurrent, and without a
   cookie each of them would make another visitor.
5. Pages are sent with a policy that allows the scripts of this folder and no others. So what a
   model writes is never run as code.
6. Below a base path, the page's `<base>` has it; all other addresses are relative to it. It is the
   path of the request (`root_path`), so that mounted applications work as well.
"""

from __future__ import annotations

import functools
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from durable_llm_streams.errors import DurableError

from .policy import page_headers
from .problems import problem
from .state import app_state

#: Where the build puts the interface.
BUILT: Final = Path(__file__).with_name("static")

_PAGE: Final = "index.html"
_BASE: Final = re.compile(rb'<base href="/" ?/?>')
_MOST_BASES: Final = 8  # cached; others are made each time
# The API checks whether a chat exists, and its owner. What follows `/link#` is not sent to us.
_PAGES: Final = ("/", "/link", "/c/{chat_id:path}")
_ICON: Final = "icon.svg"
_FORMS: Final = {"br": ".br", "gzip": ".gz"}  # the best first
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/plain; charset=utf-8",  # browsers show it
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}

_FILE_HEADERS: Final = {"vary": "Accept-Encoding", "x-content-type-options": "nosniff"}
_FOR_EVER: Final = {**_FILE_HEADERS, "cache-control": "public, max-age=31536000, immutable"}
_ASK_AGAIN: Final = {**_FILE_HEADERS, "cache-control": "no-cache"}

_NOT_BUILT: Final = """Durable LLM Streams is running, without its web interface.

In a checkout, end this server and start it with `make run`: that builds the interface first.
Where the package was installed, install it again. The API is here all the same, see /docs:

  curl -N -c jar -b jar -H 'Content-Type: application/json' {url}api/chat -d '{{"id":"first",
    "message":{{"id":"m1","role":"user","parts":[{{"type":"text","text":"Hi"}}]}}}}'
  curl -b jar {url}api/chats/first
"""


class _Form(NamedTuple):
    """A file in one content coding."""

    body: bytes
    tag: str


class _File:
    """A file in all its encodings.

    Args:
        path: where it is. The compressed forms are beside it.
        headers: of the response.
    """

    def __init__(self, path: Path, headers: Mapping[str, str]) -> None:
        self._type = _TYPES.get(path.suffix, "application/octet-stream")
        self._headers = headers
        self._plain = self._form(path)
        compressed = {coding: path.with_name(path.name + end) for coding, end in _FORMS.items()}
        self._forms = {
            name: self._form(form) for name, form in compressed.items() if form.is_file()
        }

    def _form(self, path: Path) -> _Form:
        body = path.read_bytes()
        if self._headers is _FOR_EVER:
            return _Form(body, f'"{quote(path.name)}"')  # the name depends on the content
        return _Form(body, _tag(body))

    async def respond(self, request: Request) -> Response:
        """The form that the client accepts, or 304 if it has it."""
        coding = _choose(request.headers.get("accept-encoding", ""), self._forms)
        return self._send(request, self._plain if coding is None else self._forms[coding], coding)

    def _send(self, request: Request, form: _Form, coding: str | None) -> Response:
        headers = {**self._headers, "etag": form.tag}
        if _names(request.headers.get("if-none-match", ""), form.tag):
            return Response(status_code=304, headers=headers)
        if coding is not None:
            headers["content-encoding"] = coding
        return Response(form.body, headers=headers, media_type=self._type)


class _Page(_File):
    """A page, which contains its base path."""

    async def respond(self, request: Request) -> Response:
        """As a file; below a base path a form that contains it, which is not compressed."""
        root = request.scope.get("root_path") or ""
        if not root or not _BASE.search(self._plain.body):
            return await super().respond(request)
        return self._send(request, self._below(root), None)

    @functools.lru_cache(maxsize=_MOST_BASES)  # noqa: B019 - pages live as long as the process
    def _below(self, root: str) -> _Form:
        base = f'<base href="{html.escape(root)}/" />'.encode()
        body = _BASE.sub(lambda _: base, self._plain.body, count=1)
        return _Form(body, _tag(body))


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _choose(accepted: str, forms: Mapping[str, _Form]) -> str | None:
    """The best of the forms that an Accept-Encoding header allows (RFC 9110, section 12.5.3)."""
    qualities: dict[str, float] = {}
    for part in accepted.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            qualities[coding.strip()] = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            continue
    everything_else = qualities.get("*", 0.0)
    wanted = [coding for coding in forms if qualities.get(coding, everything_else) > 0]
    return max(wanted, key=lambda coding: qualities.get(coding, everything_else), default=None)


def _names(if_none_match: str, tag: str) -> bool:
    """Whether an If-None-Match header names the tag (RFC 9110, section 13.1.2)."""
    named = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in named or tag in named


def add_interface(app: FastAPI, folder: Path | None, frame_ancestors: Sequence[str] = ()) -> None:
    """Give an application its pages.

    Args:
        app: its other routes have precedence.
        folder: of the build; if it is None or has no page, a text says what to do.
        frame_ancestors: origins of sites whose pages may show ours in a frame.
    """
    if folder is None or not (folder / _PAGE).is_file():
        for address in _PAGES:
            app.router.add_route(address, _not_built, include_in_schema=False)
        return
    files, assets = _read(folder, {**_FILE_HEADERS, **page_headers(frame_ancestors)})
    page = files.pop(_PAGE)
    for name, file in files.items():
        app.router.add_route(f"/{name}", file.respond, include_in_schema=False)

    async def send_page(request: Request) -> Response:
        response = await page.respond(request)
        response.headers.update(await _greeting(request))
        return response

    for address in _PAGES:
        app.router.add_route(address, send_page, include_in_schema=False)

    async def send_asset(request: Request) -> Response:
        file = assets.get(request.path_params["name"])
        return _gone() if file is None else await file.respond(request)

    app.router.add_route("/assets/{name:path}", send_asset, include_in_schema=False)


def _read(
    folder: Path, page_headers: Mapping[str, str]
) -> tuple[dict[str, _File], dict[str, _File]]:
    """The files by name: those outside `assets/`, and those in it."""
    files: dict[str, _File] = {}
    assets: dict[str, _File] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if hidden or path.suffix in _FORMS.values() or not path.is_file():
            continue
        if name.parts[0] == "assets":
            assets[name.relative_to("assets").as_posix()] = _File(path, _FOR_EVER)
        elif path.suffix == ".html":
            files[name.as_posix()] = _Page(path, page_headers)
        else:
            files[name.as_posix()] = _File(path, _ASK_AGAIN)
    if _ICON in files:
        files.setdefault("favicon.ico", files[_ICON])  # some browsers always request it
    return files, assets


async def _greeting(request: Request) -> Mapping[str, str]:
    """The cookie of the visitor; none if the request is not authenticated: the page reports it."""
    try:
        return (await app_state(request).principal(request)).headers
    except DurableError:
        return {}


async def _not_built(request: Request) -> Response:
    return PlainTextResponse(_NOT_BUILT.format(url=request.base_url), headers=_ASK_AGAIN)


def _gone() -> Response:
    detail = "This file is of another version of the interface. Load the page again."
    response = problem(404, "not-found", "Not found", detail)
    response.headers["cache-control"] = "no-store"  # another server may have the file
    return response
