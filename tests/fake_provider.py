"""A fake OpenAI-compatible provider over real HTTP, with faults on demand.

In a test's own loop:

    async with FakeProvider() as provider:
        provider.plan("tokens=5", "status=429,retry_after=7")   # for the next two requests
        ... ask provider.base_url ...
        request = await provider.request(0)
        request.headers, request.body, request.ended, request.closed_early

In a process of its own, for tests that kill things:

    python tests/fake_provider.py --port 9000        # prints its base URL on the first line

Without a plan a request's script is taken from its model: `fake:tokens=100,rate=50`. Any other
model answers with the defaults. The answer is `w1 w2 ... wN `, whatever the question, so that a
test knows it: `answer(n)`. A request that ends with an assistant's message is answered with the
rest of the answer, from where that message ends.

Options, comma separated (`name=value`; `name` alone means 1):

    tokens=20        words in the answer           word=w         what the words begin with
    reasoning=0      words of reasoning before     odd            odd marks at the end: ODD
    rate=0           words per second, 0: at once  first=0        seconds before the first word
    finish=stop      the finish reason             usage=1        0: no usage chunk
    comments=0       comments before each word     empty          finish without a word
    crlf             lines end with CR LF          nospace        `data:` without a space
    split            one byte for each write       field=content  the reasoning's: reasoning_content
    status=N         answer with HTTP status N     retry_after=S  with this Retry-After ...
    retry_date=S     ... or a date in S seconds    code=C         an error's code, in any error
    html, json, redirect                           no stream at all, but a page, JSON, a 307
    error_after=N    an error event after N words  cut_after=N    the connection is reset
    end_after=N      a clean end, no finish        done_after=N   [DONE], no finish
    stall_after=N    nothing more, left open       junk_after=N   a line that is no JSON
    chunk_after=N    broken transfer encoding      after=finish   those strike after the finish
    prefill=exact    how a beginning is continued: `exact`, `trim` (no white space first), `echo`
                     (the beginning is repeated), `refuse` (HTTP 400), `ignore` (answers anew)
    continues=anew   how it goes on when asked in words: `anew`, `exact`, `overlap`, `preamble`,
                     `sorry` (another text), `refuse` (HTTP 400)
    times=N          the faults strike only the first N requests of this very model

Answers in background mode (`POST responses`) are in `fake_responses`. For these also:

    background=refuse  HTTP 400: no such mode      background=ignore  an answer that is not kept
    fail_after=N       the job fails after N words (error code: code=C)
    incomplete_after=N it ends incomplete          reason=R       max_output_tokens, content_filter
    cut_at=N           the connection is reset after N events; the job goes on
    listeners          the faults of connections also strike whoever listens again
    window=S           seconds after its beginning when a job is gone (404); 0: at once
    refuse=N           whoever wants to listen again gets HTTP status N
    retell=TEXT        whoever listens again hears this as the first word

`error_after`, `cut_after`, `end_after`, `done_after`, `stall_after`, `junk_after` and `chunk_after`
strike the connection there too, and not the job.

A provider that is particular about requests is made by `FakeProvider(...)`:

    models=[...]       what `GET /v1/models` lists; None: 404, there is no list
    requires=HEADER    HTTP 401 unless this header holds KEY
    refusals=[...]     functions of a request's body that give (status, JSON) or None; the first
                       that gives something refuses the request

A request with `"stream": false` gets one JSON answer.

`GET /state` on the server gives `{"open", "peak", "requests": [...], "jobs": [...]}` to other
processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web

if __name__ == "__main__":  # started by its path: the package is not on Python's
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fake_provider_script import (
    ODD,
    SECRET_WORDS,
    Script,
    answer,
    cut,
    error_body,
    refusal,
)
from tests.fake_responses import Jobs, Request

__all__ = ["KEY", "ODD", "SECRET_WORDS", "FakeProvider", "Request", "Script", "answer"]


#: That a provider wants in the header that it requires.
KEY = "sk-test-0123456789abcdef"

Refusal = Callable[[dict[str, Any]], tuple[int, Any] | None]


class FakeProvider:
    """The server. Also an asynchronous context manager."""

    def __init__(
        self,
        port: int = 0,
        *,
        models: Sequence[str] | None = None,
        requires: str = "",
        refusals: Sequence[Refusal] = (),
    ) -> None:
        self.models = models
        self.listed = 0
        self._requires = requires
        self._refusals = refusals
        self.requests: list[Request] = []
        self.open = 0
        self.peak = 0
        self._port = port
        self._plan: deque[Script] = deque()
        self._asked: Counter[str] = Counter()
        self._arrived = asyncio.Event()
        self.jobs = Jobs(self._asked_for)
        application = web.Application()
        application.router.add_get("/state", self._state)
        application.router.add_get("/v1/models", self._list)
        application.router.add_post("/{base:.*}chat/completions", self._complete)
        self.jobs.add_routes(application)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    @property
    def port(self) -> int:
        return self._port

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def plan(self, *scripts: Script | str) -> None:
        """Say what the next requests get, one script each."""
        self._plan.extend(Script.parse(each) if isinstance(each, str) else each for each in scripts)

    async def request(self, number: int = 0) -> Request:
        """The request with this number, from 0, as soon as it has come."""
        while len(self.requests) <= number:
            self._arrived.clear()
            await self._arrived.wait()
        return self.requests[number]

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    @asynccontextmanager
    async def also_with(self, context: ssl.SSLContext) -> AsyncIterator[int]:
        """Listen on a second port, with TLS; gives the port."""
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        yield self._runner.addresses[-1][1]

    async def __aexit__(self, *_: object) -> None:
        await self.jobs.close()
        await self._runner.cleanup()

    async def _state(self, _: web.Request) -> web.Response:
        requests = [
            {
                "path": each.path,
                "headers": each.headers,
                "body": each.body,
                "words": each.words,
                "ended": each.ended.is_set(),
                "closed_early": each.closed_early,
            }
            for each in self.requests
        ]
        state = {"open": self.open, "peak": self.peak, "requests": requests}
        return web.json_response({**state, "jobs": self.jobs.state()})

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        request, script = await self._asked_for(http)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            return await self._answer(http, request, script)
        except (asyncio.CancelledError, ConnectionError):
            request.closed_early = True
            raise
        finally:
            self.open -= 1
            request.ended.set()

    async def _list(self, http: web.Request) -> web.Response:
        self.listed += 1
        if self._requires and http.headers.get(self._requires) != KEY:
            return web.json_response({"error": {"message": SECRET_WORDS}}, status=401)
        if self.models is None:
            return web.Response(text="404 page not found", status=404)
        data = [{"id": name, "object": "model", "owned_by": "library"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    def _refused(self, request: Request) -> web.Response | None:
        if self._requires and request.headers.get(self._requires) != KEY:
            return web.json_response({"error": {"message": SECRET_WORDS}}, status=401)
        for judge in self._refusals:
            if (found := judge(request.body)) is not None:
                return web.json_response(found[1], status=found[0])
        return None

    async def _asked_for(self, http: web.Request) -> tuple[Request, Script]:
        """Take a request for an answer, whichever way."""
        path = http.path.partition("/v1/")[2]
        request = Request(path, headers=dict(http.headers), body=await http.json())
        self.requests.append(request)
        self._arrived.set()
        return request, self._script(request.body["model"])

    def _script(self, model: str) -> Script:
        self._asked[model] += 1
        if self._plan:
            return self._plan.popleft()
        script = Script.parse(model.partition("fake:")[2])
        is_calm = 0 <= script.times < self._asked[model]
        return script.without_faults() if is_calm else script

    async def _answer(
        self, http: web.Request, request: Request, script: Script
    ) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        messages = request.body["messages"]
        said = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        begun = _asked_to_go_on(messages)
        refuses = (said and script.prefill == "refuse") or (begun and script.continues == "refuse")
        if refuses or script.status:
            return refusal(script, 400 if refuses else script.status)
        if script.html:
            return web.Response(text=f"<h1>{SECRET_WORDS}</h1>", content_type="text/html")
        if script.json:
            return web.json_response(error_body(script) if script.code else {"choices": []})
        if script.redirect:
            raise web.HTTPTemporaryRedirect("/elsewhere")
        if request.body["stream"] is False:
            return web.json_response(_whole(script, said))
        response = web.StreamResponse(headers={"X-Generation-Id": "gen-header"})
        response.content_type = "text/event-stream"
        await response.prepare(http)
        if script.first:
            await asyncio.sleep(script.first)
        writer = _Writer(http, response, request, script)
        await writer.say(_continuation(script, begun) if begun else _rest(script, said))
        return response


class _Writer:
    """Writes one stream, fault included."""

    def __init__(
        self, http: web.Request, response: web.StreamResponse, request: Request, script: Script
    ) -> None:
        self._http, self._response, self._request, self._script = http, response, request, script
        self._model = request.body["model"]

    async def say(self, text: str) -> None:
        script, request = self._script, self._request
        begun = time.monotonic()
        words = re.findall(r"\s*\S+\s?|\s+", text)
        for number in range(1, script.reasoning + 1):
            await self._delta({script.field: f"r{number} "})
        for number, word in enumerate(words):
            if await self._strike(script.fault(number, finished=False)):
                return
            if script.rate:
                await asyncio.sleep(begun + number / script.rate - time.monotonic())
            await self._write(": OPENROUTER PROCESSING\n\n" * script.comments)
            await self._delta({"role": "assistant", "content": word})
            request.words = number + 1
        if await self._strike(script.fault(len(words), finished=False)):
            return
        await self._event(self._chunk({"content": ""}, script.finish))
        if await self._strike(script.fault(len(words), finished=True)):
            return
        if script.usage:
            await self._event(self._chunk(None) | {"usage": _usage(len(words))})
        await self._event("[DONE]")

    async def _strike(self, fault: str) -> bool:
        if fault == "error":
            event = self._chunk({"content": ""}, "error") | error_body(self._script)
            await self._event(event)
        elif fault == "cut":
            cut(self._http)
        elif fault == "done":
            await self._event("[DONE]")
        elif fault == "stall":
            self._request.stalled.set()
            await asyncio.Event().wait()  # until the client leaves or the server ends
        elif fault == "junk":
            await self._event(f'{{"choices": [{SECRET_WORDS}')
        elif fault == "chunk":
            assert isinstance(self._http.transport, asyncio.Transport)
            self._http.transport.write(b"this is no chunk size\r\n")
        return bool(fault)

    def _chunk(self, delta: dict[str, Any] | None, reason: str | None = None) -> dict[str, Any]:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
        head = {"id": "gen-chunk", "object": "chat.completion.chunk", "created": 1}
        return {**head, "model": f"{self._model}-used", "provider": "Fake", "choices": choices}

    async def _delta(self, delta: dict[str, Any]) -> None:
        await self._event(self._chunk(delta))

    async def _event(self, event: dict[str, Any] | str) -> None:
        text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        await self._write(f"data:{'' if self._script.nospace else ' '}{text}\n\n")

    async def _write(self, text: str) -> None:
        data = text.replace("\n", "\r\n" if self._script.crlf else "\n").encode()
        step = 1 if self._script.split else max(1, len(data))
        for begin in range(0, len(data), step):
            await self._response.write(data[begin : begin + step])
            if self._script.split:
                await asyncio.sleep(0)


def _rest(script: Script, said: str) -> str:
    """What of the answer comes after a beginning."""
    text = script.text()
    if not said or script.prefill == "ignore" or not text.startswith(said):
        return text
    if script.prefill == "echo":
        return text
    rest = text[len(said) :]
    return rest.lstrip() if script.prefill == "trim" else rest


def _asked_to_go_on(messages: list[dict[str, Any]]) -> str:
    """The partial answer that the last message asks to go on with; "" for none."""
    asked = messages[-1]["role"] == "user" and "Please continue" in messages[-1]["content"]
    return str(messages[-2]["content"]) if asked else ""


def _continuation(script: Script, begun: str) -> str:
    text = script.text()
    if script.continues == "sorry":
        return "I'm sorry, but I cannot see what you mean."
    if script.continues == "anew" or not text.startswith(begun):
        return text
    if script.continues == "overlap":
        return text[max(0, len(begun) - 30) :]
    return "Sure, continuing:\n\n" * (script.continues == "preamble") + text[len(begun) :]


def _whole(script: Script, said: str) -> dict[str, Any]:
    """The answer as one JSON document."""
    message = {"role": "assistant", "content": _rest(script, said)}
    choice = {"index": 0, "message": message, "finish_reason": script.finish}
    return {"object": "chat.completion", "choices": [choice], "usage": _usage(script.tokens)}


def _usage(words: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 7,
        "completion_tokens": words,
        "total_tokens": 7 + words,
        "cost": 0.00125,
        "cost_details": {"upstream_inference_cost": None},
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


async def _serve(port: int, models: Sequence[str] | None) -> None:
    async with FakeProvider(port, models=models) as provider:
        print(provider.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A fake model provider on 127.0.0.1.")
    options.add_argument("--port", type=int, default=0, help="0: any that is free")
    options.add_argument("--models", help="what it lists, separated by commas")
    chosen = options.parse_args()
    asyncio.run(_serve(chosen.port, chosen.models.split(",") if chosen.models else None))
