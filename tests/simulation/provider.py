"""The model's provider: what the product's own provider code gets instead of an HTTP session.

The answer to a question is known beforehand, word by word, so that it can be seen whether one is
missing, doubled or somebody else's. The question itself says how long the answer is and how fast.
A model that is asked to continue does so from where the beginning ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

import aiohttp

from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.prefill import PrefillTable

from .faults import Faults
from .loop import Process

#: Models by what they can.
RESTARTS: Final = "sim/restarts"
CONTINUES: Final = "sim/continues"
REPEATS: Final = "sim/repeats"
MODELS: Final = (RESTARTS, CONTINUES, REPEATS)

#: What a provider writes into its errors, and the key: no reader may ever see either.
SECRET: Final = "sk-simulated-secret"

_PREFILL = PrefillTable.parse(f"none, {CONTINUES}, {REPEATS}=mistral")
_STATUSES: Final = (400, 401, 429, 500, 503)
_JUNK: Final = (b"data: {broken\n\n", b"data: [1]\n\n", b'data: {"choices": 7}\n\n')


class Question(NamedTuple):
    """What is asked, as the text of a user's message.

    Attributes:
        name: unique; every word of the answer begins with it.
        words: how many the answer has.
        pause: milliseconds before each word.
        thoughts: words of reasoning before the answer.
    """

    name: str
    words: int
    pause: int
    thoughts: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.words} words, {self.pause} ms, {self.thoughts} thoughts"

    @property
    def answer(self) -> str:
        """The whole text of the answer."""
        return "".join(f"{self.name}.{number} " for number in range(self.words))

    @classmethod
    def parse(cls, text: str) -> Question:
        """Read what was asked."""
        found = _QUESTION.fullmatch(text)
        assert found is not None, f"the provider was asked {text!r}"
        return cls(found[1], *map(int, found.groups()[1:]))


_QUESTION = re.compile(r"(\w+): (\d+) words, (\d+) ms, (\d+) thoughts")


class Provider:
    """All that is asked of the provider, by whatever process.

    Attributes:
        requests: how often each question was asked.
        refused: the questions that were refused for good.
        open: how many answers are being made now for processes that live.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.requests: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.answers: dict[_Answer, None] = {}

    @property
    def open(self) -> int:
        return sum(not answer.process.dead for answer in self.answers)

    def source(self, process: Process) -> OpenAICompatible:
        """The product's source for a process, speaking to this provider."""
        source = OpenAICompatible(
            base_url="http://provider/v1", api_key=SECRET, prefill=_PREFILL, dialect="generic"
        )
        source._session = _Session(self, process)  # type: ignore[assignment]
        return source


class _Session:
    """As much of an `aiohttp.ClientSession` as the product uses."""

    def __init__(self, provider: Provider, process: Process) -> None:
        self._provider = provider
        self._process = process

    async def post(self, url: Any, *, data: bytes, **_: Any) -> _Answer:
        body = json.loads(data)
        asked = [message for message in body["messages"] if message["role"] == "user"][-1]
        question = Question.parse(asked["content"])
        provider = self._provider
        provider.requests[question.name] += 1
        place = f"{question.name}"
        rng = provider.faults.rng(f"answer {place} {provider.requests[question.name]}")
        await asyncio.sleep(rng.choice((0, 0.001, 0.02, 0.2)))
        last = body["messages"][-1]
        said = last["content"] if last["role"] == "assistant" else ""
        if refusal := provider.faults.strikes("refuse-answer", place):
            status = refusal.choice(_STATUSES if refusal.random() < 0.5 else (429, 503))
        elif said and provider.faults.strikes("refuse-prefill", place):
            status = 400
        else:
            status = 200
        if status == 401 or (status == 400 and not said):
            provider.refused.add(question.name)
        return _Answer(provider, self._process, place, rng, body["model"], question, said, status)

    async def close(self) -> None:
        """Nothing to let go of."""


class _Answer:
    """As much of an `aiohttp.ClientResponse` as the product uses."""

    connection = None

    def __init__(
        self,
        provider: Provider,
        process: Process,
        place: str,
        rng: random.Random,
        model: str,
        question: Question,
        said: str,
        status: int,
    ) -> None:
        self.status = status
        self.content_type = "text/event-stream" if status == 200 else "application/json"
        self.headers: dict[str, str] = {}
        self.content = self
        self.process = process
        self._provider = provider
        self._rng = rng
        self._faults = provider.faults
        self._place = place
        if status == 200:
            self._bytes = self._cut_up(self._events(model, question, said))
        else:
            self._bytes = self._refusal()
        provider.answers[self] = None

    async def readany(self) -> bytes:
        """Some of the body's next bytes; b"" at its end."""
        return await anext(self._bytes, b"")

    def is_eof(self) -> bool:
        """Only asked of connections that are told to have ended."""
        return True

    def close(self) -> None:
        """The provider stops its work."""
        self._provider.answers.pop(self, None)

    async def _refusal(self) -> AsyncGenerator[bytes, None]:
        yield json.dumps({"error": {"message": f"No. {SECRET}", "code": self.status}}).encode()

    async def _events(
        self, model: str, question: Question, said: str
    ) -> AsyncGenerator[bytes, None]:
        whole = question.answer
        begun = whole.startswith(said)
        assert begun or not said, f"asked to continue {said!r}, which was never said"
        rest = whole if model == REPEATS and said else whole[len(said) :]
        for number in range(0 if said else question.thoughts):
            await asyncio.sleep(question.pause / 1000)
            yield _event(delta={"reasoning": f"{question.name}-thought-{number} "})
        for piece in self._pieces(rest):
            if question.pause:
                await asyncio.sleep(question.pause / 1000)
            if self._faults.strikes("stall-answer", self._place):
                await asyncio.sleep(1e6)
            if self._faults.strikes("end-answer", self._place):
                return
            if junk := self._faults.strikes("break-answer", self._place):
                error = {"message": SECRET, "code": "server_error"}
                yield junk.choice((*_JUNK, b"data: %b\n\n" % json.dumps({"error": error}).encode()))
            yield _event(delta={"content": piece})
        yield _event(delta={}, reason="stop")
        usage = {"prompt_tokens": 5, "completion_tokens": question.words, "cost": 0.001}
        yield b"data: %b\n\n" % json.dumps({"choices": [], "usage": usage}).encode()
        yield b"data: [DONE]\n\n"

    def _pieces(self, text: str) -> list[str]:
        """A text as a model says it: now a word, now half of one, now three."""
        pieces = []
        while text:
            length = self._rng.choice((1, 3, 5, 5, 5, 8, 20))
            pieces.append(text[:length])
            text = text[length:]
        return pieces

    async def _cut_up(self, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The same bytes, as a network brings them."""
        cut = self._faults.strikes("cut-answer", self._place)
        left = cut.choice((0, cut.randrange(300), cut.randrange(4000))) if cut else None
        kept = b""
        async for event in events:
            data = kept + event
            split = len(data) if self._rng.random() < 0.7 else self._rng.randrange(len(data) + 1)
            data, kept = data[:split], data[split:]
            if left is not None and len(data) > left:
                if left:
                    yield data[:left]
                raise aiohttp.ClientPayloadError("The connection was cut.")
            if left is not None:
                left -= len(data)
            if data:
                yield data
        if kept:
            yield kept


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    chunk = {
        "id": "gen-1",
        "model": "sim",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
    return b"data: %b\n\n" % json.dumps(chunk).encode()
