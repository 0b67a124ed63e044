"""`/docs`: the OpenAPI document as a page that loads nothing, neither scripts nor styles."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_METHODS: Final = ("get", "post", "patch", "put", "delete")
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 1rem; }
h2 { border-top: 1px solid #8886; margin-top: 2rem; padding-top: 1rem; overflow-wrap: anywhere; }
code, pre, h2 { font-family: ui-monospace, monospace; }
h2 b { text-transform: uppercase; }
pre { background: #8882; border-radius: .5rem; overflow: auto; padding: .75rem; }
table { border-collapse: collapse; } td, th { padding: .2rem 1rem .2rem 0; text-align: left; }
td, th { vertical-align: top; }
"""
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
}


def add_api_page(app: FastAPI) -> None:
    """Serve `/docs`, a rendering of the application's OpenAPI document."""
    pages: dict[str, str] = {}

    async def send_page(request: Request) -> Response:
        root = request.scope.get("root_path") or ""
        if root not in pages:
            pages.clear()  # one is enough: the path is nearly always the same
            pages[root] = render(app.openapi(), root)
        return HTMLResponse(pages[root], headers=_HEADERS)

    app.router.add_route("/docs", send_page, include_in_schema=False)


def render(document: Mapping[str, Any], root: str = "") -> str:
    """A page that describes every operation of an OpenAPI document (version 3.1).

    Args:
        document: the document.
        root: the path below which the application is served.
    """
    title = html.escape(document["info"]["title"])
    version = html.escape(document["info"]["version"])
    operations = "".join(_operations(document))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{title} {version}</h1>"
        f'<p>As a document for programs: <a href="{html.escape(root)}/openapi.json">openapi.json'
        f"</a> (OpenAPI).</p>{operations}</body></html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield _operation(path, method, item[method])


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    shown = [
        f"<h2><b>{method}</b> {html.escape(path)}</h2>",
        *(f"<p>{html.escape(text)}</p>" for text in operation.get("description", "").split("\n\n")),
        _parameters(operation.get("parameters", [])),
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        shown.append(f"<h3>Body: {html.escape(kind)}</h3>{_schema(content.get('schema'))}")
    shown.append("<h3>Answers</h3>")
    shown += [_answer(status, answer) for status, answer in operation["responses"].items()]
    return "".join(shown)


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{html.escape(each['name'])}</code></td><td>{html.escape(each['in'])}</td>"
        f"<td>{html.escape(each.get('description', ''))}</td></tr>"
        for each in parameters
    ]
    head = "<tr><th>Parameter</th><th>In</th><th>Meaning</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def _answer(status: str, answer: Mapping[str, Any]) -> str:
    schemas = "".join(
        f"<p>{html.escape(kind)}</p>{_schema(content.get('schema'))}"
        for kind, content in answer.get("content", {}).items()
    )
    summary = f"<b>{html.escape(status)}</b> {html.escape(answer.get('description', ''))}"
    if not schemas:
        return f"<p>{summary}</p>"
    return f"<details><summary>{summary}</summary>{schemas}</details>"


def _schema(schema: Any) -> str:
    if not schema:
        return ""
    return f"<pre>{html.escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"
