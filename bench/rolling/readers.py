"""Readers with a list of all servers: after a refusal or a cut they retry at the next one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import aiohttp

from durable_llm_streams.fold import Fold

from .source import answer

#: A reader whom no server takes for so long is a fault.
PATIENCE: Final = 30.0

_ROUND_SECONDS: Final = 0.02  # between two rounds of asking all servers
_END: Final = ("finish", "error", "abort")


class Refused(Exception):
    """No server took a request in time, or one answered what it must not."""


@dataclass
class Seen:
    """What all readers saw.

    Attributes:
        answers: how many were read to their end.
        gaps: seconds from text to text, beyond the model's own pace.
        waits: seconds until a message was taken.
        moved: streams that ended before the answer did.
        again: attempts whose text was dropped because another one started over.
        faults: sentences about what must never be.
    """

    answers: int = 0
    gaps: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    moved: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)


class Reader:
    """One visitor's tab.

    Args:
        http: the visitor's cookies and connections.
        urls: the servers; the first one is asked first.
        name: the prefix of its chats' ids.
        pace: seconds between two tokens of the model.
        seen: where its measurements are added.
    """

    def __init__(
        self, http: aiohttp.ClientSession, urls: Sequence[str], name: str, pace: float, seen: Seen
    ) -> None:
        self._http = http
        self._urls = urls
        self._name = name
        self._pace = pace
        self._seen = seen
        self._at = 0
        self._asked = 0

    async def ask(self, model: str) -> None:
        """Ask something in a new chat, and read the answer to its end."""
        self._asked += 1
        chat = f"{self._name}-{self._asked}"
        frames: list[tuple[str, str]] = []
        try:
            await self._read(chat, model, frames)
        except Refused as error:
            self._seen.faults.append(f"{chat}: {error}")
            return
        self._check(chat, model, frames)

    async def _read(self, chat: str, model: str, frames: list[tuple[str, str]]) -> None:
        begun = time.monotonic()
        response = await self._post(chat, model)
        self._seen.waits.append(time.monotonic() - begun)
        last: float | None = None
        while True:
            async with response, aclosing(_frames(response)) as events:
                async for cursor, data in events:
                    frames.append((cursor, data))
                    if '"text-delta"' in data:
                        now = time.monotonic()
                        if last is not None:
                            self._seen.gaps.append(max(0.0, now - last - self._pace))
                        last = now
            if frames and json.loads(frames[-1][1])["type"] in _END:
                return
            self._seen.moved += 1
            self._at += 1  # that one is about to end
            if not frames:
                response = await self._post(chat, model)
                continue
            path = f"/api/chat/{chat}/stream"
            response = await self._open("GET", path, headers={"Last-Event-ID": frames[-1][0]})

    async def _post(self, chat: str, model: str) -> aiohttp.ClientResponse:
        parts = [{"type": "text", "text": "Hello"}]
        message = {"id": f"{chat}-1", "role": "user", "parts": parts}
        body = {"id": chat, "model": model, "message": message}
        return await self._open("POST", "/api/chat", json=body)

    async def _open(self, method: str, path: str, **more: Any) -> aiohttp.ClientResponse:
        """Ask one server after the other.

        Raises:
            Refused: none of them takes it.
        """
        until = time.monotonic() + PATIENCE
        tried = 0
        while time.monotonic() < until:
            url = self._urls[self._at % len(self._urls)]
            try:
                response = await self._http.request(method, url + path, **more)
            except aiohttp.ClientConnectionError:
                pass
            else:
                if response.status == 200:
                    return response
                said = await response.text()
                if response.status != 503:
                    raise Refused(f"{method} {path}: {response.status} {said}")
            self._at += 1
            tried += 1
            if tried % len(self._urls) == 0:
                await asyncio.sleep(_ROUND_SECONDS)
        raise Refused(f"{method} {path}: no server took it in {PATIENCE:.0f} s")

    def _check(self, chat: str, model: str, frames: list[tuple[str, str]]) -> None:
        """Every record once and in order, and the message that they make is the answer."""
        cursors = [cursor for cursor, _ in frames]
        if any(second <= first for first, second in pairwise(cursors)):
            self._seen.faults.append(f"{chat}: records came twice, or not in their order.")
        records = [data.encode() for _, data in frames]
        kinds = [json.loads(record)["type"] for record in records]
        parts = Fold.of(records).message()["parts"]
        text = "".join(part.get("text", "") for part in parts)
        if kinds[-1] != "finish" or text != answer(model):
            self._seen.faults.append(f"{chat}: the answer is not whole ({kinds[-1]}).")
        self._seen.answers += 1
        self._seen.again += kinds.count("reset-step")


async def _frames(response: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str, str], None]:
    """The records of a stream: (cursor, JSON). A body that is cut short is a fault."""
    rest = b""
    try:
        async for part in response.content.iter_any():
            *blocks, rest = (rest + part).split(b"\n\n")
            for block in blocks:
                fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n"))
                if "id" in fields and "data" in fields:
                    yield fields["id"], fields["data"]
    except aiohttp.ClientPayloadError as error:
        raise Refused("a stream was cut instead of ended") from error
