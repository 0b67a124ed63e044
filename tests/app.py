"""The application in the test's own event loop, over a real socket, with a model that obeys."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import uvicorn
from fastapi import FastAPI
from msgspec import structs

from durable_llm_streams.cli.serve import Server
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.server import Authenticate, OfferedModel, ServerConfig, create_app
from durable_llm_streams.server.edge import EdgeLimits
from durable_llm_streams.server.edge.serving import guarded
from durable_llm_streams.server.forwarded import behind_proxies
from durable_llm_streams.server.state import AppState
from durable_llm_streams.source import Prompt
from durable_llm_streams.stores import SQLiteStore
from tests.scripted_source import Bug, Do, Done, Say, ScriptedSource
from tests.waiting import until, within

JSON = dict[str, Any]

MODELS = (OfferedModel("small", "Small"), OfferedModel("large", "Large"))
CONFIG = ServerConfig(models=MODELS)
HELLO = ("Hello", ", ", "world", ".")


class Script(ScriptedSource):
    """A model that the test controls.

    Attributes:
        pieces: what the next answers say, piece by piece; an exception among them is raised.
    """

    def __init__(self) -> None:
        super().__init__(by_prompt=self._scene)
        self.pieces: Sequence[str | Exception] = HELLO
        self._permits = asyncio.Semaphore(0)
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        """From now on a piece is sent only when it is allowed."""
        self._free.clear()

    def allow(self, pieces: int = 1) -> None:
        """Let so many pieces go; the end of an answer counts as one."""
        for _ in range(pieces):
            self._permits.release()

    def free(self) -> None:
        """All pieces may be sent again."""
        self._free.set()
        self.allow(1000)

    def _scene(self, prompt: Prompt) -> list[Do]:
        scene: list[Do] = []
        for piece in self.pieces:
            scene += [Do(self._turn), Bug(piece) if isinstance(piece, Exception) else Say(piece)]
        return [*scene, Do(self._turn), Done(metadata={"model": prompt.model})]

    async def _turn(self) -> None:
        if self._free.is_set():
            await asyncio.sleep(0)
        else:
            await self._permits.acquire()


class Document(JSON):
    """A JSON object; a missing key is a failure that shows the object."""

    def __missing__(self, name: str) -> Any:
        raise AssertionError(f"There is no {name!r} in {dict(self)}")


def decoded(text: str | bytes) -> Any:
    """JSON as a test expects it."""
    try:
        return json.loads(text, object_hook=Document)
    except ValueError:
        raise AssertionError(f"This is no JSON: {text!r}") from None


class Frame(NamedTuple):
    """An event of a stream, as it came."""

    id: str
    data: str

    @property
    def chunk(self) -> JSON:
        chunk: JSON = decoded(self.data)
        return chunk


@dataclass
class Reading:
    """A response that was read to its end, or until the test had enough."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    comments: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    retry: int | None = None

    def __post_init__(self) -> None:
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            return
        for block in self.raw.decode().split("\n\n")[:-1]:  # what has no end was never sent
            fields = [line.partition(":")[::2] for line in block.split("\n")]
            values = {name: value.removeprefix(" ") for name, value in fields}
            if "" in values:
                self.comments.append(values[""])
            if "retry" in values:
                self.retry = int(values["retry"])
            if "data" in values:
                self.frames.append(Frame(values.get("id", ""), values["data"]))

    @property
    def json(self) -> Any:
        assert self.raw, f"An empty response with status {self.status}"
        return decoded(self.raw)

    @property
    def done(self) -> bool:
        return bool(self.frames) and self.frames[-1] == Frame("", "[DONE]")

    @property
    def records(self) -> list[Frame]:
        assert "event-stream" in self.headers.get("content-type", ""), (
            f"No stream, but a response with status {self.status}: {self.raw!r}"
        )
        return [frame for frame in self.frames if frame.data != "[DONE]"]

    @property
    def ids(self) -> list[str]:
        return [frame.id for frame in self.records]

    @property
    def types(self) -> list[str]:
        return [frame.chunk["type"] for frame in self.records]

    @property
    def text(self) -> str:
        return "".join(c.chunk["delta"] for c in self.records if c.chunk["type"] == "text-delta")

    @property
    def end(self) -> str:
        """The terminal record's type; "" when there is none."""
        last = self.types[-1] if self.records else ""
        return last if last in ("finish", "error", "abort") else ""


def story(frames: Sequence[Frame]) -> list[JSON]:
    """The chunks of the frames, with the deltas of a part joined."""
    chunks: list[JSON] = []
    for frame in frames:
        chunk = frame.chunk
        last = chunks[-1] if chunks else {}
        same = last.get("type") == chunk["type"] and last.get("id") == chunk.get("id")
        if "delta" in chunk and same:
            last["delta"] += chunk["delta"]
        else:
            chunks.append(chunk)
    return chunks


class Guest:
    """A visitor with a cookie jar and connections."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self._count = 0

    async def open(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a request; the answer's body is still to be read."""
        return await self.session.request(method, self.url + path, **options)

    async def call(self, method: str, path: str, **options: Any) -> Reading:
        """Send a request and read the answer."""
        async with (
            within(f"the answer to {method} {path}"),
            await self.open(method, path, **options) as response,
        ):
            return await read_rest(response)

    async def get(self, path: str, **options: Any) -> Reading:
        return await self.call("GET", path, **options)

    async def post(self, body: Any, **options: Any) -> Reading:
        """`POST /api/chat` with any body."""
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        data = io.BytesIO(json.dumps(body).encode())
        return await self.call("POST", "/api/chat", data=data, headers=headers, **options)

    def body(
        self, text: str, *, chat: str = "c1", message_id: str | None = None, **more: Any
    ) -> JSON:
        """The body of a send, as a client makes it that sends only the new message."""
        self._count += 1
        return {"id": chat, "message": user(message_id or f"m{self._count}", text), **more}

    async def send(self, text: str = "Hi", **more: Any) -> Reading:
        """Send a message and read the whole answer."""
        return await self.post(self.body(text, **more))

    async def start(self, text: str = "Hi", **more: Any) -> aiohttp.ClientResponse:
        """Send a message and leave the answer open."""
        return await self.open("POST", "/api/chat", json=self.body(text, **more))

    async def chat(self, chat: str = "c1", query: str = "") -> Any:
        """A chat's snapshot."""
        reading = await self.get(f"/api/chats/{chat}{query}")
        assert reading.status == 200, reading.raw
        return reading.json

    async def said(self, chat: str = "c1") -> list[tuple[str, str]]:
        """A chat's history as (role, text)."""
        return [(m["role"], text_of(m)) for m in (await self.chat(chat))["messages"]]


@asynccontextmanager
async def begun(
    app: App, guest: Guest, body: JSON | None = None
) -> AsyncGenerator[tuple[aiohttp.ClientResponse, Reading], None]:
    """An answer that stops after two pieces: the stream, and what it brought."""
    app.script.hold()
    body = body or guest.body("Hi")
    async with await guest.open("POST", "/api/chat", json=body) as stream:
        app.script.allow(2)
        yield stream, await read_until(stream, lambda reading: reading.text == "Hello, ")


def user(message_id: str, text: str) -> JSON:
    """A user's message."""
    return {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}


def assistant(message_id: str, text: str) -> JSON:
    """A message that a client says the model wrote."""
    return {**user(message_id, text), "role": "assistant"}


def text_of(message: JSON) -> str:
    return "".join(part.get("text", "") for part in message["parts"])


async def read_until(
    response: aiohttp.ClientResponse, enough: Callable[[Reading], bool] = lambda r: bool(r.records)
) -> Reading:
    """Read a stream until it has brought what the test waits for; by default, any record."""
    raw = b""
    async with within("what is awaited of a stream", lambda: raw):
        while not enough(reading := Reading(response.status, response.headers, raw)):
            part = await response.content.readany()
            assert part, f"The stream ended too early: {raw!r}"
            raw += part
    return reading


async def read_rest(response: aiohttp.ClientResponse) -> Reading:
    """Read a stream to its end."""
    raw = b""
    async with within("the end of a stream", lambda: raw):
        async for part in response.content.iter_any():
            raw += part
    return Reading(response.status, response.headers, raw)


@dataclass
class App:
    """A running application.

    Attributes:
        errors: what was logged as an error; a test that expects some clears it.
    """

    url: str
    store: SQLiteStore
    worker: Worker
    script: Script
    shared: AppState
    server: Server
    errors: list[str]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    @asynccontextmanager
    async def guest(self, **options: Any) -> AsyncGenerator[Guest, None]:
        """A new visitor, without a cookie."""
        options.setdefault("cookie_jar", aiohttp.CookieJar(unsafe=True))
        async with aiohttp.ClientSession(**options) as session:
            yield Guest(self.url, session)


@contextlib.contextmanager
def _errors() -> Iterator[list[str]]:
    """Keeps what is logged as an error: a request must cause none, whatever its content."""
    lines: list[str] = []
    handler = logging.Handler(logging.ERROR)
    vars(handler)["emit"] = lambda record: lines.append(handler.format(record))
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


async def _shutdown(server: Server, shared: AppState) -> None:
    """What `Server.shutdown` does, without its pauses."""
    shared.drain()
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await until(lambda: not (server.server_state.connections or server.server_state.tasks))
    await server.lifespan.shutdown()


@asynccontextmanager
async def serving(
    app: FastAPI, worker: Worker, proxies: Sequence[str] = (), edge: EdgeLimits | None = None
) -> AsyncGenerator[tuple[str, Server, list[str]], None]:
    """Serve an application in this event loop. At the end nothing may be left open or be logged.

    Returns:
        Its address, the server, and what was logged as an error.
    """
    shared = app.state.durable
    assert isinstance(shared, AppState)
    served = behind_proxies(app, list(proxies)) if proxies else app
    settings = uvicorn.Config(
        served,
        http=guarded(edge or EdgeLimits(), ",".join(proxies)),
        ws="none",
        timeout_graceful_shutdown=3,
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    settings.load()
    server = Server(settings, app)
    server.lifespan = settings.lifespan_class(settings)
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, or asyncio sets no TCP_NODELAY
    listener.bind(("127.0.0.1", 0))
    with _errors() as errors:
        await server.startup(sockets=[listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", server, errors
        finally:
            await _shutdown(server, shared)
        assert errors == []
        assert len(shared.streams) == 0
        assert worker.running == 0


@asynccontextmanager
async def running_app(
    folder: Path,
    config: ServerConfig = CONFIG,
    *,
    authenticate: Authenticate | None = None,
    limits: Limits | None = None,
    ui: Path | None = None,
    proxies: Sequence[str] = (),
    edge: EdgeLimits | None = None,
    **configured: Any,
) -> AsyncGenerator[App, None]:
    """Serve a store in this event loop.

    Args:
        folder: where the store is.
        config, authenticate, ui: as for `create_app`.
        limits: the worker's.
        proxies: addresses whose `X-Forwarded-…` is trusted.
        edge: the limits of connections, if not the usual ones.
        configured: fields of the configuration that differ.
    """
    config = structs.replace(config, **configured)
    script = Script()
    store = SQLiteStore(folder / "chats.db")
    worker = Worker(store, script, name="test", limits=limits or Limits(backoff=0.01))
    app = create_app(store, worker, config, authenticate=authenticate, ui=ui)
    try:
        async with serving(app, worker, proxies, edge) as (url, server, errors):
            yield App(url, store, worker, script, app.state.durable, server, errors)
    finally:
        await store.close()
