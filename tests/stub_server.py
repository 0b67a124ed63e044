"""A stand-in for the server: one log, sent as badly as a script says."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote

from durable_llm_streams import chunks
from durable_llm_streams.wire.sse import DONE, FrameEncoder, opening
from tests.fake_provider import End, HttpServer, Reply, Request, Step

RUN = "run1"
TOKEN = "cafe"


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

    def reply(self) -> Reply:
        """What a request gets that has no stream."""
        headers = {"Content-Type": "application/octet-stream", **self.headers}
        reply = Reply.whole(self.body, self.status, "")
        reply.headers = headers
        return reply


class Stub(HttpServer):
    """The server's state and what it saw.

    Attributes:
        acts: what happens to the next requests for a stream; when empty, all goes well.
        active: whether a run is active, for a GET without a cursor.
        questions: message id -> text, as they arrived the first time.
        visitors: how many have come.
        failures: its own faults, which the client's retries would hide.
        requests: (method, path, Last-Event-ID, body) of every request.
    """

    def __init__(self, records: list[bytes]) -> None:
        super().__init__()
        self.records = records
        self.acts: deque[Act] = deque()
        self.active = True
        self.questions: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.visitors = 0
        self.requests: list[tuple[str, str, str | None, Any]] = []
        self.failures: list[Exception] = []
        self.stopped = asyncio.Event()

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

    async def reply(self, request: Request) -> Reply:
        """What a request gets; a visitor without a cookie gets one as well."""
        path = request.target.partition("?")[0]
        cursor = request.headers.get("Last-Event-ID")
        self.requests.append((request.method, unquote(path), cursor, request.body))
        cookie = SimpleCookie(request.headers.get("Cookie", "")).get("visitor")
        self.visitors += cookie is None
        visitor = f"visitor{self.visitors}" if cookie is None else cookie.value
        try:
            reply = self._routed(request, path, visitor)
        except Exception as error:
            self.failures.append(error)
            raise
        reply.headers = {**reply.headers, "Set-Cookie": f"visitor={visitor}; Path=/"}
        return reply

    def _routed(self, request: Request, path: str, visitor: str) -> Reply:
        match path.split("/")[2:]:
            case ["chat"]:
                return self._asked(request.body, visitor)
            case ["chat", _, "stream"]:
                return self._followed(request.headers.get("Last-Event-ID"))
            case ["chat", _, "stop"]:
                self.records[-1] = chunks.ABORT
                self.stopped.set()
                return Reply.json({"stopped": request.query.get("run", "any")})
            case ["chats"]:
                return Reply.json({"chats": [{"id": "c1", "title": "Sky\x1b[2J"}], "next": None})
            case ["chats", chat]:
                return self._snapshot(chat)
            case ["models"]:
                act = self._act()
                if act.status != 200:
                    return act.reply()
                return Reply.json({"models": [{"id": "demo"}]})
        return Reply.whole(b"404 page not found", 404, "text/plain")

    def _act(self) -> Act:
        return self.acts.popleft() if self.acts else Act()

    def _asked(self, body: Any, visitor: str) -> Reply:
        if self.owners.setdefault(body["id"], visitor) != visitor:
            return problem(404, "There is no such chat.").reply()
        message, act = body["message"], self._act()
        if act.status == 200:
            self.questions.setdefault(message["id"], message["parts"][0]["text"])
        return self._streamed(act, 0)

    def _followed(self, cursor: str | None) -> Reply:
        after = int(cursor.split(".")[1], 16) if cursor else 0
        act = self._act()
        if act.status == 200 and (after == len(self.records) or not (cursor or self.active)):
            act = Act(204)
        return self._streamed(act, after)

    def _streamed(self, act: Act, after: int) -> Reply:
        if act.lost:
            return Reply(head=False, steps=[End.CLOSE])
        if act.status != 200:
            return act.reply()
        after = max(0, after - act.back)
        rest = self.records[after:]
        pairs = chunks.merge(rest) if act.merged else list(enumerate(rest))
        encoder = FrameEncoder(RUN)
        frames = encoder.merged(TOKEN, ((after + 1 + index, chunk) for index, chunk in pairs))
        return Reply(steps=self._steps(act, opening() + frames + (DONE if act.done else b"")))

    def _steps(self, act: Act, data: bytes) -> Iterator[Step]:
        yield data[: act.upto]
        if act.silent:
            while not self.stopped.is_set():
                yield 0.01
        elif act.upto is not None and not act.politely:
            yield End.CLOSE

    def _snapshot(self, chat: str) -> Reply:
        if chat not in self.owners:
            return problem(404, "There is no such chat.").reply()
        said = [{"type": "step-start"}, {"type": "text", "text": "Durable st"}]
        messages = [
            {"id": "m", "role": "user", "parts": [{"type": "text", "text": "an *old* question"}]},
            {"id": "answer", "role": "assistant", "parts": said},
        ]
        active = {"message_id": "answer", "cursor": f"{RUN}.00000006.{TOKEN}"}
        return Reply.json({"messages": messages, "active_run": active})


@asynccontextmanager
async def stub_server(records: list[bytes]) -> AsyncIterator[Stub]:
    """A stub that accepts connections."""
    async with Stub(records) as stub:
        yield stub
    assert not stub.failures, f"the stub failed: {stub.failures}"


def problem(status: int, detail: str) -> Act:
    """A refusal."""
    document = {"type": "urn:x", "title": "No", "status": status, "detail": detail}
    headers = {"Content-Type": "application/problem+json"}
    return Act(status, json.dumps(document).encode(), headers)
