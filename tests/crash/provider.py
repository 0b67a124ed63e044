"""A provider over real HTTP whose words tell who asked for them.

    python -m tests.crash.provider --seed 1        # prints its base address on the first line

An answer is the words 1, 2, 3, … as `NUMBER@ASKER.REQUEST `: word 7 of the request with number 35,
which the server `redis-0` made, is `7@redis-0.35 `. So every record of a log names the attempt that
wrote it, whatever the log's own spans say. The asker is in the address: `BASE/redis-0/v1`.

A model is `KIND-WORDS-RATE`: how the beginning of an answer is continued, how many words it has and
how many come in a second. Kinds:

    goes-on     it goes on behind the last word that it is given (the rung `prefill`)
    refuses     it answers HTTP 400 to a beginning
    anew        nobody gives it one: it is not declared able

Asked in words to go on (the rung `continue`), a model goes on behind the last word too, sometimes
with its last words repeated, or refuses; `refuses` always does.

Some requests fail, by the seed: a refusal of the corpus, a connection that is reset after some
words, an end without a finish, silence (once for a question). Streams are written in the forms of
the corpus, with its noise between their events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import re
import socket
import struct
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from aiohttp import web

from tests.children import tied
from tests.providers.shapes import Form, refusals

WORD = re.compile(r"(\d+)@(\S+)")

_Fault = Literal["", "busy", "reset", "end", "silence"]

#: How often each fault strikes, of a hundred requests.
FAULTS: dict[_Fault, int] = {"": 86, "busy": 3, "reset": 6, "end": 3, "silence": 2}

_REPEATED = 4  # words of the beginning that a continuation may repeat
_START_SECONDS = 30.0


class Model(NamedTuple):
    """What a model's name says."""

    kind: str
    words: int
    rate: float

    @classmethod
    def parse(cls, name: str) -> Model:
        """Read a name such as `goes-on-60-30`."""
        kind, words, rate = name.rsplit("-", 2)
        return cls(kind, int(words), float(rate))


class Word(NamedTuple):
    """One word of an answer: its number, and the request that brought it."""

    number: int
    request: str


def words_of(text: str) -> list[Word]:
    """The words of a text."""
    return [Word(int(number), request) for number, request in WORD.findall(text)]


class Asked(NamedTuple):
    """What is asked.

    Attributes:
        said: the words of the beginning that is to be gone on with.
        text: that beginning, as it was sent.
        continues: whether it is asked so in words.
    """

    model: Model
    said: Sequence[Word]
    text: str
    continues: bool

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Asked:
        """Read a request's body."""
        turns = body["messages"]
        continues = [turn["role"] for turn in turns[-2:]] == ["assistant", "user"]
        last = turns[-2] if continues else turns[-1]
        text = last["content"] if last["role"] == "assistant" else ""
        return cls(Model.parse(body["model"]), words_of(text), text, continues)


class Provider:
    """The provider's application.

    Args:
        rng: draws the faults.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._numbers = itertools.count(1)
        self._silenced: set[str] = set()
        self._transient = [each for each in refusals() if not each.is_final]
        self.application = web.Application()
        self.application.router.add_post("/{asker}/v1/chat/completions", self._complete)

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        body = await http.json()
        asked = Asked.parse(body)
        if asked.said and (asked.model.kind == "refuses" or self._is_refused(asked)):
            return web.json_response({"error": {"message": "No beginnings."}}, status=400)
        request = f"{http.match_info['asker']}.{next(self._numbers)}"
        first = asked.said[-1].number + 1 if asked.said else 1
        fault = self._fault(body["messages"][0]["content"])
        if fault == "busy":
            refusal = self._rng.choice(self._transient)
            headers = {**refusal.headers, "Content-Type": refusal.media_type}
            return web.Response(body=refusal.body, status=refusal.status, headers=headers)
        words = asked.model.words
        strikes = self._rng.randint(first, max(first, words)) if fault else words + 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        stream = _Stream(response, request, random.Random(self._rng.random()))
        with contextlib.suppress(ConnectionError):
            await response.prepare(http)
            if asked.continues and len(asked.said) > _REPEATED and self._rng.random() < 0.5:
                await stream.write(_event({"content": _last_words(asked.text)}))
            await stream.say(range(first, min(strikes, words + 1)), asked.model.rate)
            await _end(http, stream, fault)
        return response

    def _is_refused(self, asked: Asked) -> bool:
        return asked.continues and self._rng.random() < 0.3

    def _fault(self, question: str) -> _Fault:
        fault = self._rng.choices([*FAULTS], [*FAULTS.values()])[0]
        if fault == "silence":
            if question in self._silenced:
                return ""  # a second silence may end the answer before its attempts are used up
            self._silenced.add(question)
        return fault


class _Stream:
    """Writes an answer in one of the corpus's forms."""

    def __init__(self, response: web.StreamResponse, request: str, rng: random.Random) -> None:
        self._response, self._request, self._rng = response, request, rng
        self._form = Form.draw(rng)
        self._first = True

    async def write(self, *events: bytes) -> None:
        data = b""
        for event in events:
            data += self._form.dress(event, self._rng, first=self._first)
            self._first = False
        await self._response.write(data)

    async def say(self, numbers: Sequence[int], rate: float) -> None:
        loop = asyncio.get_running_loop()
        begun, lot = loop.time(), max(1, int(rate / 100))  # at most a hundred writes a second
        for index in range(0, len(numbers), lot):
            await asyncio.sleep(begun + index / rate - loop.time())
            words = (f"{number}@{self._request} " for number in numbers[index : index + lot])
            await self.write(*(_event({"content": word}) for word in words))


def _last_words(text: str) -> str:
    """The end of what was said, as a model repeats it that is asked to go on."""
    return " ".join(text.split()[-_REPEATED:]) + " "


async def _end(http: web.Request, stream: _Stream, fault: _Fault) -> None:
    if fault == "silence":
        await asyncio.Event().wait()  # until the client leaves
    elif fault == "reset":
        assert http.transport is not None
        connection: socket.socket = http.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        http.transport.abort()
    elif not fault:
        await stream.write(_event({}, "stop"), b"data: [DONE]\n\n")


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@asynccontextmanager
async def provider_process(seed: int) -> AsyncGenerator[str, None]:
    """A provider in a process of its own. Gives its base address."""
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-m", "tests.crash.provider", f"--seed={seed}"]),
        stdin=asyncio.subprocess.PIPE,  # it ends with whoever holds the other end
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            line = await process.stdout.readline()
        assert line, "The provider did not start."
        yield line.decode().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _serve(seed: int) -> None:
    provider = Provider(random.Random(seed))
    runner = web.AppRunner(provider.application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    left = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, left.set)
    await left.wait()
    await runner.cleanup()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A provider whose words tell who asked.")
    options.add_argument("--seed", type=int, default=1)
    asyncio.run(_serve(options.parse_args().seed))
