"""A fake llama.cpp server over real HTTP: it keeps the bytes of an answer that has a name.

    POST chat/completions                  answers; with `X-Conversation-Id` the answer is kept
    GET stream/{id}?from=N                 the kept bytes from offset N on, and what comes live
    GET stream?conv_id={id}&from=N         the same, as newer servers have it
    DELETE, at either address              ends the answer and forgets it: 204, always

The answer is `w1 w2 ... wN `, whatever the question.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any, Literal, Self

from aiohttp import web

from tests.fake_provider_script import SECRET_WORDS, answer

Address = Literal["path", "query", "none"]


class Kept:
    """One answer whose bytes are kept.

    Attributes:
        bytes: all that it has said.
        dropped: how many of the first bytes are kept no longer.
        status: `running`, `done` or `cancelled`.
    """

    def __init__(self) -> None:
        self.bytes = b""
        self.dropped = 0
        self.status = "running"
        self.changed = asyncio.Event()

    def change(self, status: str = "") -> None:
        self.status = status or self.status
        self.changed.set()
        self.changed = asyncio.Event()


@dataclasses.dataclass(kw_only=True)
class FakeLlama:
    """The server. Also an asynchronous context manager.

    Attributes:
        address: where kept answers are; `none` for a server that keeps none and ends an answer with
            its connection.
        tokens: words of each answer.
        pause: seconds before each word.
        thoughts: pieces of reasoning before the answer.
        cuts: for each connection in turn, after how many bytes it ends; -1 for never.
        capacity: how many bytes of an answer are kept.
        status: of the next questions, in turn; 0 to answer.
        replays: of the next attempts to read an answer again, in turn: a status, or 0.
        ends: what each stream says after so many words instead of the rest, (words, data).
        asked: the headers of each question.
        read_from: the offset of each attempt to read an answer again.
        deleted: the ids that somebody wanted to end.
        kept: the answers by their ids, ended ones too.
        together: the most answers that were made at once.
    """

    address: Address = "path"
    tokens: int = 5
    pause: float = 0.0
    thoughts: int = 0
    cuts: list[int] = dataclasses.field(default_factory=list)
    capacity: int = 4 * 1024 * 1024
    status: list[int] = dataclasses.field(default_factory=list)
    replays: list[int] = dataclasses.field(default_factory=list)
    ends: tuple[int, str] | None = None
    asked: list[dict[str, str]] = dataclasses.field(default_factory=list)
    read_from: list[int] = dataclasses.field(default_factory=list)
    deleted: list[str] = dataclasses.field(default_factory=list)
    kept: dict[str, Kept] = dataclasses.field(default_factory=dict)
    together: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def at_work(self) -> int:
        """How many answers are made now."""
        return sum(each.status == "running" for each in self._all)

    async def __aenter__(self) -> Self:
        self._all: list[Kept] = []
        self._tasks: set[asyncio.Task[None]] = set()
        application = web.Application()
        add = application.router.add_route
        add("POST", "/v1/chat/completions", self._answer)
        add("GET", "/v1/models", self._models)
        if self.address != "none":
            path = "/v1/stream/{id}" if self.address == "path" else "/v1/stream"
            add("GET", path, self._replay)
            add("DELETE", path, self._delete)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._runner.cleanup()

    def evict(self, name: str) -> None:
        """Forget an answer that is over, as the server does after five minutes."""
        del self.kept[name]

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "qwen3"}]})

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        self.asked.append(dict(http.headers))
        status = self.status.pop(0) if self.status else 0
        if status:
            return _refusal(status, SECRET_WORDS)
        answer = Kept()
        self._all.append(answer)
        self.together = max(self.together, self.at_work)
        name = http.headers.get("X-Conversation-Id", "")
        if name and self.address != "none":
            self.kept[name] = answer
        task = asyncio.create_task(self._work(answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await self._send(http, answer, 0)
        finally:
            if name not in self.kept and answer.status == "running":
                task.cancel()
                answer.change("cancelled")

    async def _work(self, kept: Kept) -> None:
        for number in range(self.thoughts):
            self._say(kept, {"reasoning_content": f"r{number} "})
        for number, word in enumerate(answer(self.tokens).split()):
            await asyncio.sleep(self.pause)
            if kept.status == "cancelled":
                return None
            if self.ends is not None and self.ends[0] == number:
                self._write(kept, self.ends[1])
                return kept.change("done")
            self._say(kept, {"content": f"{word} "})
        self._say(kept, {}, "stop")
        self._write(kept, "[DONE]")
        kept.change("done")
        return None

    def _say(self, kept: Kept, delta: dict[str, Any], reason: str | None = None) -> None:
        choice = {"delta": delta, **({"finish_reason": reason} if reason else {})}
        self._write(kept, json.dumps({"choices": [choice]}))

    def _write(self, kept: Kept, data: str) -> None:
        kept.bytes += f"data: {data}\n\n".encode()
        kept.dropped = max(0, len(kept.bytes) - self.capacity)
        kept.change()

    async def _replay(self, http: web.Request) -> web.StreamResponse:
        begin = int(http.query.get("from", 0))
        self.read_from.append(begin)
        status = self.replays.pop(0) if self.replays else 0
        if status:
            return _refusal(status, SECRET_WORDS)
        kept = self.kept.get(_name(http))
        if kept is None:
            return _refusal(404, "Stream not found or expired")
        if begin < kept.dropped:
            return _refusal(400, "Stream offset lost, please restart")
        return await self._send(http, kept, begin)

    async def _delete(self, http: web.Request) -> web.Response:
        name = _name(http)
        self.deleted.append(name)
        if (kept := self.kept.pop(name, None)) is not None and kept.status == "running":
            kept.change("cancelled")
        return web.Response(status=204)

    async def _send(self, http: web.Request, kept: Kept, at: int) -> web.StreamResponse:
        left = self.cuts.pop(0) if self.cuts else -1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        while not kept.bytes and kept.status == "running":  # the head comes with the first byte
            await kept.changed.wait()
        await response.prepare(http)
        while True:
            data = kept.bytes[at:]
            piece = data if left < 0 else data[:left]
            if piece:
                await response.write(piece)
            at, left = at + len(piece), left - len(piece) if left >= 0 else left
            if left == 0:
                assert http.transport is not None
                http.transport.close()  # what was written arrives; the body has no end
                return response
            if at == len(kept.bytes):
                if kept.status != "running":
                    return response
                await kept.changed.wait()


def _name(http: web.Request) -> str:
    return http.match_info.get("id") or http.query.get("conv_id", "")


def _refusal(status: int, message: str) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"code": status, "message": message, "type": kind}
    return web.json_response({"error": error}, status=status)
