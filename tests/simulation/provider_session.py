"""As much of an aiohttp session as the product uses; at its other end is the provider."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.fake_provider import End, Step
from tests.providers.shapes import refusals

from .loop import Process
from .provider_chats import REPEATS, Request, completion, continued, heard, kept_answer
from .saying import SECRET, carried, dressed, spoilt

if TYPE_CHECKING:
    from .provider import Provider

_STATUSES: Final = (400, 401, 429, 500, 503)
_AS_IN_THE_CORPUS: Final = (400, 500)  # where a refusal of the corpus stands in for it


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
        asked = Request.parse(json.loads(data))
        return await self._ask(asked)

    async def get(self, url: Any, **_: Any) -> Response:
        """Listen to a kept answer again."""
        faults, name = self._provider.faults, url.parts[-1]
        job = self._provider.jobs.get(name)
        if job is None or faults.strikes("forget-job", name):
            self._provider.jobs.pop(name, None)
            return Response(self, 404, _json({"error": {"message": "No such response."}}))
        after = int(url.query.get("starting_after", "-1"))
        return self._stream(heard(job, after), name.removeprefix("resp_").rpartition("_")[0])

    async def delete(self, url: Any, **_: Any) -> Response:
        """Delete a kept answer."""
        job = self._provider.jobs.pop(url.parts[-1], None)
        return Response(self, 200 if job is not None else 404, _json({"id": url.parts[-1]}))

    async def close(self) -> None:
        """Nothing to close."""

    async def _ask(self, asked: Request) -> Response:
        provider, place = self._provider, asked.question.name
        rng = provider.faults.rng(f"answer {place} {len(provider.jobs)} {provider.requests[place]}")
        await asyncio.sleep(rng.choice((0, 0.001, 0.02, 0.2)))
        if refusal := provider.faults.strikes("refuse-answer", place):
            return self._refuse(refusal, asked)
        if asked.said and provider.faults.strikes("refuse-prefill", place):
            return Response(self, 400, _json({"error": {"message": "No prefill."}}))
        if asked.continues:  # what does not fit there is asked for again, at no attempt's cost
            words = continued(asked, rng)
            return self._stream(completion(rng, asked, words), place)
        provider.requests[place] += 1
        if not asked.in_background:
            whole = asked.question.answer
            assert whole.startswith(asked.said), f"{asked.said!r} was never said"
            words = whole if asked.model == REPEATS else whole[len(asked.said) :]
            return self._stream(completion(rng, asked, words), place)
        fails = provider.faults.strikes("fail-job", place) is not None
        name = f"resp_{place}_{provider.requests[place]}"
        provider.jobs[name] = kept_answer(name, asked.question, rng, fails=fails)
        return self._stream(heard(provider.jobs[name], -1), place)

    def _refuse(self, rng: random.Random, asked: Request) -> Response:
        goes_on = bool(asked.said) or asked.in_background
        status = rng.choice(_STATUSES if rng.random() < 0.5 else (429, 503))
        if status in _AS_IN_THE_CORPUS and not goes_on:
            refusal = rng.choice(refusals())
            if refusal.is_final:
                self._provider.refused.add(asked.question.name)
            return Response(
                self, refusal.status, [refusal.body], refusal.media_type, refusal.headers
            )
        if status == 401 or (status == 400 and not goes_on):
            self._provider.refused.add(asked.question.name)
        return Response(self, status, _json({"error": {"message": SECRET, "code": status}}))

    def _stream(self, steps: Iterator[Step], place: str) -> Response:
        faults = self._provider.faults
        rng = faults.rng(f"stream {place} {len(self._provider.open)}")
        stalled = partial(self._provider.stalled, place)
        steps = dressed(spoilt(steps, faults, place, stalled), rng)
        return Response(self, 200, carried(steps, faults, place, rng))

    def opened(self, response: Response) -> None:
        self._provider.open[response] = self._process

    def closed(self, response: Response) -> None:
        """It is no longer needed."""
        self._provider.open.pop(response, None)


class Response:
    """As much of an `aiohttp.ClientResponse` as the product uses."""

    connection = None

    def __init__(
        self,
        session: Session,
        status: int,
        body: Iterable[Step],
        media_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        usual = "text/event-stream" if status == 200 else "application/json"
        self.content_type = media_type or usual
        self.headers = dict(headers or {})
        self.content = self
        self._session = session
        self._body = _played(body)
        session.opened(self)

    async def readany(self) -> bytes:
        """Some of the body's next bytes; b"" at its end."""
        return await anext(self._body, b"")

    def is_eof(self) -> bool:
        """Only called for connections that were reported as ended."""
        return True

    def close(self) -> None:
        self._session.closed(self)


async def _played(steps: Iterable[Step]) -> AsyncGenerator[bytes, None]:
    """The bytes of a body, in the loop's time."""
    for step in steps:
        if isinstance(step, float):
            await asyncio.sleep(step)
        elif step is End.HANG:
            await asyncio.sleep(1e6)
        elif step is End.RESET:
            raise aiohttp.ClientPayloadError("The connection was cut.")
        elif isinstance(step, bytes) and step:
            yield step


def _json(content: Any) -> list[Step]:
    return [json.dumps(content).encode()]
