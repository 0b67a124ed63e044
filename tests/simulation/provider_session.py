"""As much of an aiohttp session as the product uses; at its other end is the provider."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final

from .loop import Process
from .provider_jobs import KeptAnswer
from .question import Question
from .saying import SECRET, carried, pieces, spoilt

if TYPE_CHECKING:
    from .provider import Provider

REPEATS: Final = "sim/repeats"

_STATUSES: Final = (400, 401, 429, 500, 503)


class Session:
    """The connections of one process to the provider."""

    def __init__(self, provider: Provider, process: Process) -> None:
        self._provider = provider
        self._process = process

    async def post(self, url: Any, *, data: bytes, **_: Any) -> Response:
        """Ask for an answer, or end a kept one."""
        if url.path.endswith("/cancel"):
            job = self._provider.jobs.get(url.parts[-2])
            if job is not None:
                job.cancel()
            return Response(self, 200 if job is not None else 404, _json({"id": url.parts[-2]}))
        body = json.loads(data)
        asked = [turn for turn in body.get("messages") or body["input"] if turn["role"] == "user"]
        return await self._ask(Question.parse(asked[-1]["content"]), body)

    async def get(self, url: Any, **_: Any) -> Response:
        """Listen to a kept answer again."""
        faults, name = self._provider.faults, url.parts[-1]
        job = self._provider.jobs.get(name)
        if job is None or faults.strikes("forget-job", name):
            self._provider.jobs.pop(name, None)
            return Response(self, 404, _json({"error": {"message": "No such response."}}))
        after = int(url.query.get("starting_after", "-1"))
        return self._stream(job.listen(after), job.question.name)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _ask(self, question: Question, body: dict[str, Any]) -> Response:
        provider, place = self._provider, question.name
        rng = provider.faults.rng(f"answer {place} {len(provider.jobs)} {provider.requests[place]}")
        await asyncio.sleep(rng.choice((0, 0.001, 0.02, 0.2)))
        said = ""
        if "messages" in body and body["messages"][-1]["role"] == "assistant":
            said = body["messages"][-1]["content"]
        if refusal := provider.faults.strikes("refuse-answer", place):
            return self._refuse(refusal, question, said, in_background="input" in body)
        if said and provider.faults.strikes("refuse-prefill", place):
            return Response(self, 400, _json({"error": {"message": "No prefill."}}))
        provider.requests[place] += 1
        if "messages" in body:
            events = _completion(rng, body["model"], question, said)
            return self._stream(events, place)
        fails = provider.faults.strikes("fail-job", place) is not None
        job = KeptAnswer(f"resp_{place}_{provider.requests[place]}", question, rng, fails=fails)
        provider.jobs[job.name] = job
        return self._stream(job.listen(-1), place)

    def _refuse(
        self, refusal: random.Random, question: Question, said: str, *, in_background: bool
    ) -> Response:
        status = refusal.choice(_STATUSES if refusal.random() < 0.5 else (429, 503))
        if status == 401 or (status == 400 and not (said or in_background)):
            self._provider.refused.add(question.name)
        return Response(self, status, _json({"error": {"message": SECRET, "code": status}}))

    def _stream(self, events: AsyncGenerator[bytes, None], place: str) -> Response:
        faults = self._provider.faults
        rng = faults.rng(f"stream {place} {len(self._provider.open)}")
        return Response(self, 200, carried(spoilt(events, faults, place), faults, place, rng))

    def opened(self, response: Response) -> None:
        """An answer is being made for this process."""
        self._provider.open[response] = self._process

    def closed(self, response: Response) -> None:
        """It is not needed any more."""
        self._provider.open.pop(response, None)


class Response:
    """As much of an `aiohttp.ClientResponse` as the product uses."""

    connection = None

    def __init__(self, session: Session, status: int, body: AsyncGenerator[bytes, None]) -> None:
        self.status = status
        self.content_type = "text/event-stream" if status == 200 else "application/json"
        self.headers: dict[str, str] = {}
        self.content = self
        self._session = session
        self._body = body
        session.opened(self)

    async def readany(self) -> bytes:
        """Some of the body's next bytes; b"" at its end."""
        return await anext(self._body, b"")

    def is_eof(self) -> bool:
        """Only asked of connections that are told to have ended."""
        return True

    def close(self) -> None:
        """The connection is closed."""
        self._session.closed(self)


async def _json(content: Any) -> AsyncGenerator[bytes, None]:
    yield json.dumps(content).encode()


async def _completion(
    rng: random.Random, model: str, question: Question, said: str
) -> AsyncGenerator[bytes, None]:
    """A chat completion: the events of an answer, or of what is missing of it."""
    whole = question.answer
    assert whole.startswith(said), f"asked to continue {said!r}, which was never said"
    for number in range(0 if said else question.thoughts):
        await asyncio.sleep(question.pause / 1000)
        yield _event({"reasoning": f"{question.name}-thought-{number} "})
    for piece in pieces(whole if model == REPEATS else whole[len(said) :], rng):
        if question.pause:
            await asyncio.sleep(question.pause / 1000)
        yield _event({"content": piece})
    yield _event({}, reason="stop")
    usage = {"prompt_tokens": 5, "completion_tokens": question.words, "cost": 0.001}
    yield b"data: %b\n\n" % json.dumps({"choices": [], "usage": usage}).encode()
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: %b\n\n" % json.dumps({"id": "gen-1", "choices": [choice]}).encode()
