"""A fake llama.cpp server over real HTTP: it keeps the bytes of an answer that has a name.

POST chat/completions                  answers; with `X-Conversation-Id` the answer is kept
GET stream/{id}?from=N                 the kept bytes from offset N on, and what comes live
GET stream?conv_id={id}&from=N         the same, as newer servers have it
DELETE, at either address              ends the answer and deletes it: 204, always
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .http import End, HttpServer, Reply, Request, Step
from .kept import Kept
from .script import SECRET_WORDS, answer
from .wire import DONE, event

Address = Literal["path", "query"]


@dataclass(kw_only=True, eq=False)
class FakeLlama(HttpServer):
    """The server. Each answer is `w1 w2 ... wN `.

    Attributes:
        address: where kept answers are.
        tokens: words of each answer.
        pause: seconds before each word.
        cuts: for each connection in turn, after how many bytes it ends; -1 for never.
        status: of the next questions, in turn; 0 to answer.
        replays: of the next attempts to read an answer again, in turn: a status, or 0.
        ends: what each stream says after so many words instead of the rest, (words, data).
        asked: the headers of each question.
        read_from: the offset of each attempt to read an answer again.
        deleted: the ids that were to be ended.
        kept: the answers by their ids.
    """

    address: Address = "path"
    tokens: int = 5
    pause: float = 0.0
    cuts: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    replays: list[int] = field(default_factory=list)
    ends: tuple[int, str] | None = None
    asked: list[Mapping[str, str]] = field(default_factory=list)
    read_from: list[int] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    kept: dict[str, Kept[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._all: list[Kept[bytes]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def at_work(self) -> int:
        """How many answers are made now."""
        return sum(not each.over for each in self._all)

    async def reply(self, request: Request) -> Reply:
        """What a request gets."""
        path = request.path
        if path == "chat/completions":
            return self._answer_to(request)
        if path == "models":
            return Reply.json({"object": "list", "data": [{"id": "qwen3"}]})
        if path.startswith("stream") and (name := self._name(request)):
            return self._delete(name) if request.method == "DELETE" else self._again(request, name)
        return _refusal(404, "File Not Found")

    def _name(self, request: Request) -> str:
        """The kept answer that is meant, at the addresses that this server has."""
        _, _, name = request.path.partition("/")
        return name if self.address == "path" else request.query.get("conv_id", "")

    def _answer_to(self, request: Request) -> Reply:
        self.asked.append(request.headers)
        if self.status and (status := self.status.pop(0)):
            return _refusal(status, SECRET_WORDS)
        made = Kept(list(self._schedule()), time.monotonic)
        self._all.append(made)
        name = request.headers.get("X-Conversation-Id", "")
        if name:
            self.kept[name] = made
        return Reply(head_late=True, steps=self._send(made, 0, name))

    def _schedule(self) -> Iterator[tuple[float, bytes]]:
        for number, word in enumerate(answer(self.tokens).split()):
            if self.ends is not None and self.ends[0] == number:
                yield (number + 1) * self.pause, event(self.ends[1])
                return
            yield (number + 1) * self.pause, _chunk({"content": f"{word} "})
        yield self.tokens * self.pause, _chunk({}, finish_reason="stop")
        yield self.tokens * self.pause, DONE

    def _again(self, request: Request, name: str) -> Reply:
        begin = int(request.query.get("from", 0))
        self.read_from.append(begin)
        if self.replays and (status := self.replays.pop(0)):
            return _refusal(status, SECRET_WORDS)
        kept = self.kept.get(name)
        if kept is None:
            return _refusal(404, "Stream not found or expired")
        return Reply(head_late=True, steps=self._send(kept, begin, name))

    def _delete(self, name: str) -> Reply:
        self.deleted.append(name)
        if name in self.kept:
            self.kept.pop(name).cancel()
        return Reply.whole(b"", 204)

    def _send(self, kept: Kept[bytes], skip: int, name: str) -> Iterator[Step]:
        """The bytes from an offset on, cut off where the next connection is to be."""
        left = self.cuts.pop(0) if self.cuts else -1
        try:
            for piece in kept.follow(0):
                if isinstance(piece, float):
                    yield piece
                    continue
                data, skip = piece[skip:], max(0, skip - len(piece))
                if left >= 0:
                    data = data[:left]
                    left -= len(data)
                if data:
                    yield data
                if left == 0:
                    yield End.CLOSE
                    return
        finally:
            if name not in self.kept:
                kept.cancel()


def _chunk(delta: Mapping[str, str], **fields: str) -> bytes:
    return event({"choices": [{"delta": delta, **fields}]})


def _refusal(status: int, message: str) -> Reply:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return Reply.json({"error": {"code": status, "message": message, "type": kind}}, status)
