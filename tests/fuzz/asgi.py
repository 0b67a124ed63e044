"""The application in this process, without a socket, one request after the other."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI

from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.server import create_app
from durable_llm_streams.stores import SQLiteStore
from tests.app import CONFIG, Script, _errors
from tests.waiting import SECONDS

Header = tuple[bytes, bytes]

_CUT = 7  # the body comes in two pieces, the first one so long
_ENDLESS = "/api/events"  # left after what it begins with


@dataclass
class Answer:
    """A response, as far as it was read."""

    status: int = 0
    raw_headers: Sequence[Header] = ()
    body: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.raw_headers}


@dataclass
class Served:
    """The application, in a loop that stands still between two requests.

    Attributes:
        app: the application.
        script: its model.
        errors: what it logs as an error.
    """

    app: FastAPI
    script: Script
    errors: list[str]
    runner: asyncio.Runner

    def send(
        self,
        method: str,
        address: str,
        headers: Sequence[Header] = (),
        body: bytes = b"",
        *,
        leave: bool = False,
    ) -> Answer:
        """Send a request as a server hands it on, and read the answer.

        Args:
            method: in capitals.
            address: path and query, with %-codes.
            headers: their names in lower case.
            body: any bytes.
            leave: go away when the answer's body begins.
        """
        scope = request_scope(method, address, headers)
        leave = leave or scope["path"] == _ENDLESS
        return self.runner.run(exchange(self.app, scope, body, leave=leave))


def request_scope(method: str, address: str, headers: Sequence[Header]) -> dict[str, Any]:
    """A request as a server hands it on (ASGI)."""
    path, _, query = address.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "headers": headers,
    }


async def exchange(app: FastAPI, scope: dict[str, Any], body: bytes, *, leave: bool) -> Answer:
    """Send a request and read its answer; with `leave`, only what the body begins with."""
    answer, over = Answer(), asyncio.Event()
    messages = [
        {"type": "http.request", "body": body[_CUT:], "more_body": False},
        {"type": "http.request", "body": body[:_CUT], "more_body": True},
    ]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.raw_headers = message["headers"]
        else:
            answer.body += message.get("body", b"")
            if leave and answer.body:
                over.set()

    async with asyncio.timeout(SECONDS):
        await app(scope, receive, send)
    return answer


@contextmanager
def serving() -> Iterator[Served]:
    """Open a store and serve it. At the end nothing may have been logged as an error."""
    with (
        asyncio.Runner() as runner,
        tempfile.TemporaryDirectory() as folder,
        _errors() as errors,
    ):
        script = Script()
        store = SQLiteStore(Path(folder) / "chats.db")
        worker = Worker(store, script, name="fuzz", limits=Limits(backoff=0.01))
        app = create_app(store, worker, CONFIG, ui=None)
        life = app.router.lifespan_context(app)
        runner.run(life.__aenter__())
        try:
            yield Served(app, script, errors, runner)
        finally:
            runner.run(life.__aexit__(None, None, None))
            runner.run(store.close())
        assert errors == []
