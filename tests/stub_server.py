"""A stand-in for the server: one log, sent as badly as a script says."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from durable_llm_streams import chunks
from durable_llm_streams.wire.sse import DONE, FrameEncoder, opening

RUN = "run1"
TOKEN = "cafe"

_visitor: ContextVar[str] = ContextVar("visitor")


def text_log(*deltas: str, end: bytes | None = None) -> list[bytes]:
    """The records of an answer."""
    prefix = chunks.delta_prefix("text", "0")
    return [
        chunks.start("answer", {}),
        chunks.START_STEP,
        chunks.part_start("text", "0"),
        *(prefix + json.dumps(delta).encode() + b"}" for delta in deltas),
        chunks.part_end("text", "0"),
        chunks.FINISH_STEP,
        end or chunks.finish("stop", {"model": "stub"}),
    ]


@dataclass(frozen=True)
class Act:
    """What happens to one request for a stream.

    Attributes:
        status: anything but 200 answers so, with `body` and `headers`.
        lost: the request arrives, its answer never leaves.
        upto: the stream is cut after so many bytes; None: not at all.
        politely: the cut looks like a proper end of the response.
        silent: instead of cutting, send nothing more.
        back: send so many events again that the client has.
        merged: merge deltas.
        done: end with `[DONE]`.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    upto: int | None = None
    politely: bool = False
    silent: bool = False
    back: int = 0
    merged: bool = False
    done: bool = True


class Stub:
    """The server's state and what it saw.

    Attributes:
        acts: what happens to the next requests for a stream; when empty, all goes well.
        active: whether a run is active, for a GET without a cursor.
        questions: message id -> text, as they arrived the first time.
        failures: its own faults, which a patient client would hide.
        requests: (method, path, Last-Event-ID, body) of every request.
    """

    def __init__(self, records: list[bytes]) -> None:
        self.records = records
        self.acts: deque[Act] = deque()
        self.active = True
        self.questions: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.requests: list[tuple[str, str, str | None, Any]] = []
        self.failures: list[Exception] = []
        self.stopped = asyncio.Event()
        self.port = 0
        self._hold = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._visitors = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def streams(self) -> list[tuple[str, str | None]]:
        """(method, Last-Event-ID) of every request for a stream."""
        return [
            (method, cursor)
            for method, path, cursor, _ in self.requests
            if path == "/api/chat" or path.endswith("/stream")
        ]

    async def listen(self) -> None:
        """Start, on the same port as before."""
        app = web.Application(middlewares=[self._note])
        app.router.add_post("/api/chat", self._post)
        app.router.add_get("/api/chat/{id}/stream", self._get)
        app.router.add_post("/api/chat/{id}/stop", self._stop)
        app.router.add_get("/api/chats", self._chats)
        app.router.add_get("/api/chats/{id}", self._snapshot)
        app.router.add_get("/api/models", self._models)
        self._hold = asyncio.Event()
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """End, with all connections."""
        self._hold.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        cursor = request.headers.get("Last-Event-ID")
        self.requests.append((request.method, request.path, cursor, body))
        visitor = request.cookies.get("visitor")
        if visitor is None:
            self._visitors += 1
            visitor = f"visitor{self._visitors}"
        _visitor.set(visitor)
        try:
            response: web.StreamResponse = await handler(request)
        except ConnectionError:
            raise
        except Exception as error:
            self.failures.append(error)
            raise
        if not response.prepared:
            response.set_cookie("visitor", visitor)
        return response

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.owners.setdefault(body["id"], _visitor.get()) != _visitor.get():
            return _problem(404, "There is no such chat.")
        message = body["message"]
        act = self.acts.popleft() if self.acts else Act()
        if act.status == 200:
            self.questions.setdefault(message["id"], message["parts"][0]["text"])
        return await self._send(request, act, 0)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        cursor = request.headers.get("Last-Event-ID")
        after = int(cursor.split(".")[1], 16) if cursor else 0
        act = self.acts.popleft() if self.acts else Act()
        if act.status == 200 and (after == len(self.records) or not (cursor or self.active)):
            return web.Response(status=204)
        return await self._send(request, act, after)

    async def _send(self, request: web.Request, act: Act, after: int) -> web.StreamResponse:
        if act.lost:
            return _abort(request)
        if act.status != 200:
            return web.Response(status=act.status, body=act.body, headers=act.headers)
        after = max(0, after - act.back)
        rest = self.records[after:]
        pairs = chunks.merge(rest) if act.merged else list(enumerate(rest))
        encoder = FrameEncoder(RUN)
        frames = encoder.merged(TOKEN, ((after + 1 + index, chunk) for index, chunk in pairs))
        data = opening() + frames + (DONE if act.done else b"")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.set_cookie("visitor", _visitor.get())
        await response.prepare(request)
        await response.write(data[: act.upto])
        if act.silent:
            await self._hold.wait()
        elif act.upto is not None and not act.politely:
            return _abort(request)
        return response

    async def _stop(self, request: web.Request) -> web.Response:
        self.records[-1] = chunks.ABORT
        self.stopped.set()
        self._hold.set()
        return web.json_response({"stopped": request.query.get("run", "any")})

    async def _chats(self, request: web.Request) -> web.Response:
        return web.json_response({"chats": [{"id": "c1", "title": "Sky\x1b[2J"}], "next": None})

    async def _snapshot(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.owners:
            return _problem(404, "There is no such chat.")
        said = [{"type": "step-start"}, {"type": "text", "text": "Durable st"}]
        messages = [
            {"id": "m", "role": "user", "parts": [{"type": "text", "text": "an *old* question"}]},
            {"id": "answer", "role": "assistant", "parts": said},
        ]
        active = {"message_id": "answer", "cursor": f"{RUN}.00000006.{TOKEN}"}
        return web.json_response({"messages": messages, "active_run": active})

    async def _models(self, request: web.Request) -> web.Response:
        act = self.acts.popleft() if self.acts else Act()
        if act.status != 200:
            return web.Response(status=act.status, body=act.body, headers=act.headers)
        return web.json_response({"models": [{"id": "demo"}]})


@asynccontextmanager
async def stub_server(records: list[bytes]) -> AsyncIterator[Stub]:
    """A stub that listens."""
    stub = Stub(records)
    await stub.listen()
    try:
        yield stub
    finally:
        await stub.close()
    assert not stub.failures


def problem(status: int, detail: str) -> Act:
    """A refusal."""
    answer = _problem(status, detail)
    assert isinstance(answer.body, bytes)
    return Act(status, answer.body, {"Content-Type": "application/problem+json"})


def _problem(status: int, detail: str) -> web.Response:
    document = {"type": "urn:x", "title": "No", "status": status, "detail": detail}
    return web.json_response(document, status=status, content_type="application/problem+json")


def _abort(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
