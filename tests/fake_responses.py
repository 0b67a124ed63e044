"""The fake provider's answers in background mode: OpenAI's Responses API over real HTTP.

    POST responses                                      begins a job, and streams its events
    GET responses/{id}?stream=true[&starting_after=N]   streams them again, behind event N
    GET responses/{id}                                  the response as it is now
    POST responses/{id}/cancel                          ends the job; again: nothing more

A job goes on, with and without listeners. Its script is the one of the request that began it.
`Jobs` has more options, which hold for all jobs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.fake_provider_script import Script, cut, error_body, refusal

Event = dict[str, Any]

_TOO_OLD = {
    "error": {
        "message": "This response can no longer be streamed because it is more than 5 minutes old.",
        "type": "invalid_request_error",
        "param": "stream",
        "code": None,
    }
}


@dataclasses.dataclass
class Request:
    """One request for an answer as it came, and what became of it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    words: int = 0  # written so far
    closed_early: bool = False  # the client left before the end
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    stalled: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


class Job:
    """One answer that is kept.

    Attributes:
        id: its id.
        script: what it does.
        status: as OpenAI names it.
        listened: for each time that somebody listened again: after which event (-1: from the first)
            and with which HTTP status.
        polls: the HTTP status of each poll.
        cancels: how often somebody wanted to end it.
        listeners: how many connections follow it now.
    """

    def __init__(self, number: int, request: Request, script: Script) -> None:
        self.id = f"resp_{number}"
        self.script = script
        self.status = "queued"
        self.events: list[Event] = []
        self.listened: list[tuple[int, int]] = []
        self.polls: list[int] = []
        self.cancels = 0
        self.listeners = 0
        self._request = request
        self._begun = time.monotonic()
        self._words = 0
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._work())

    @property
    def over(self) -> bool:
        """Whether it does nothing any more."""
        return self.status not in ("queued", "in_progress")

    @property
    def gone(self) -> bool:
        """Whether the provider keeps it no longer."""
        return time.monotonic() - self._begun >= self.script.window

    def response(self) -> dict[str, Any]:
        """The response as it is now."""
        failed, incomplete = self.status == "failed", self.status == "incomplete"
        return {
            "id": self.id,
            "object": "response",
            "status": self.status,
            "background": self.script.background != "ignore",
            "model": f"{self._request.body['model']}-used",
            "error": error_body(self.script)["error"] if failed else None,
            "incomplete_details": {"reason": self.script.reason} if incomplete else None,
            "output": self._output() if self.over else [],
            "usage": self._usage() if self.over and self.script.usage else None,
        }

    async def event(self, number: int) -> Event | None:
        """An event, as soon as there is one; None where the job ended before."""
        while number >= len(self.events):
            if self.over:
                return None
            await self._more.wait()
        return self.events[number]

    def cancel(self) -> None:
        """End it."""
        self.cancels += 1
        if not self.over:
            self._task.cancel()
            self._change("cancelled")

    async def close(self) -> None:
        """Let go of it."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _work(self) -> None:
        script = self.script
        for kind in ("created", "queued"):
            self._tell(f"response.{kind}", response=self.response())
        await asyncio.sleep(script.first)
        self._change("in_progress")
        self._tell("response.in_progress", response=self.response())
        for number in range(1, script.reasoning + 1):
            place = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
            delta = f"r{number} "
            self._tell("response.reasoning_summary_text.delta", delta=delta, **place)
        begun = time.monotonic()
        words = re.findall(r"\s*\S+\s?|\s+", script.text())
        for number, word in enumerate(words):
            if number in (script.fail_after, script.incomplete_after):
                break
            if script.rate:
                await asyncio.sleep(begun + number / script.rate - time.monotonic())
            place = {"item_id": "msg_1", "output_index": 1, "content_index": 0, "logprobs": []}
            self._tell("response.output_text.delta", delta=word, **place)
            self._words = number + 1
        ends = (script.fail_after, "failed"), (script.incomplete_after, "incomplete")
        self._change(next((end for after, end in ends if after == self._words), "completed"))
        self._tell(f"response.{self.status}", response=self.response())

    def _output(self) -> list[dict[str, Any]]:
        """What was said, as a whole."""
        said: dict[str, str] = {"text": "", "reasoning": ""}
        for event in self.events:
            if "delta" in event:
                said["text" if _is_text(event) else "reasoning"] += event["delta"]
        summary = [{"type": "summary_text", "text": said["reasoning"]}]
        content = [{"type": "output_text", "text": said["text"], "annotations": []}]
        reasoning = [{"type": "reasoning", "id": "rs_1", "summary": summary}]
        message = [{"type": "message", "id": "msg_1", "role": "assistant", "content": content}]
        return [*(reasoning if said["reasoning"] else []), *(message if said["text"] else [])]

    def _tell(self, kind: str, **fields: Any) -> None:
        self.events.append({"type": kind, "sequence_number": len(self.events), **fields})
        self._wake()

    def _change(self, status: str) -> None:
        self.status = status
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": self._words,
            "output_tokens_details": {"reasoning_tokens": self.script.reasoning},
            "total_tokens": 7 + self._words,
        }


class Jobs:
    """All jobs, and the addresses under which they are.

    Args:
        take: takes a request for an answer: returns it and its script.

    Attributes:
        all: the jobs, oldest first.
        too_old: whether nobody may listen again: OpenAI streams a job for five minutes only.
        polled: what each poll does in turn: an HTTP status, 0 to answer, 1 for a stream, 2 for a
            page. Afterwards: answer.
        rewrites: what polls give as the text, instead of the job's own.
        together: the most jobs that were at work at once.
        as_json: whether the request for a job is answered with the job as JSON, without a stream.
    """

    def __init__(self, take: Callable[[web.Request], Awaitable[tuple[Request, Script]]]) -> None:
        self.all: list[Job] = []
        self.too_old = False
        self.polled: list[int] = []
        self.rewrites = ""
        self.together = 0
        self.as_json = False
        self._take = take

    def add_routes(self, application: web.Application) -> None:
        """Answer requests."""
        application.router.add_post("/{base:.*}responses", self._begin)
        application.router.add_get("/{base:.*}responses/{id}", self._listen)
        application.router.add_post("/{base:.*}responses/{id}/cancel", self._cancel)

    def state(self) -> list[dict[str, Any]]:
        """What other processes may know."""
        names = ("id", "status", "listened", "cancels", "listeners")
        return [{name: getattr(job, name) for name in names} for job in self.all]

    async def close(self) -> None:
        """End all of them."""
        for job in self.all:
            await job.close()

    async def _begin(self, http: web.Request) -> web.StreamResponse:
        request, script = await self._take(http)
        try:
            if script.status or script.background == "refuse":
                return refusal(script, script.status or 400)
            if script.html:
                return web.Response(text="<h1>no</h1>", content_type="text/html")
            job = Job(len(self.all) + 1, request, script)
            self.all.append(job)
            self.together = max(self.together, sum(not each.over for each in self.all))
            if self.as_json:
                return web.json_response(job.response())
            return await _Listener(http, request, job).follow(-1)
        except (asyncio.CancelledError, ConnectionError):
            request.closed_early = True
            raise
        finally:
            request.ended.set()

    async def _listen(self, http: web.Request) -> web.StreamResponse:
        job = self._find(http)
        if job is None:
            return refusal(Script(), 404)
        after = int(http.query.get("starting_after", -1))
        if http.query.get("stream") != "true":
            return self._poll(job)
        if self.as_json:
            return web.json_response(job.response())
        status = 404 if job.gone else 400 if self.too_old else job.script.refuse
        job.listened.append((after, status or 200))
        if self.too_old and not job.gone:
            return web.json_response(_TOO_OLD, status=400)
        if status:
            return refusal(job.script, status)
        return await _Listener(http, None, job).follow(after)

    def _poll(self, job: Job) -> web.Response:
        status = 404 if job.gone else self.polled.pop(0) if self.polled else 0
        job.polls.append(status or 200)
        if status in (1, 2):
            kind = "text/event-stream" if status == 1 else "text/html"
            return web.Response(text="<h1>no</h1>", content_type=kind)
        if status:
            return refusal(job.script, status)
        response = job.response()
        if self.rewrites and job.over:
            response["output"][-1]["content"][0]["text"] = self.rewrites
        return web.json_response(response)

    async def _cancel(self, http: web.Request) -> web.StreamResponse:
        job = self._find(http)
        if job is None:
            return refusal(Script(), 404)
        job.cancel()
        return web.json_response(job.response())

    def _find(self, http: web.Request) -> Job | None:
        return next((job for job in self.all if job.id == http.match_info["id"]), None)


class _Listener:
    """One connection that follows a job, fault included.

    Args:
        http: the request.
        request: the same, if it began the job.
        job: the job.
    """

    def __init__(self, http: web.Request, request: Request | None, job: Job) -> None:
        self._http, self._request, self._job = http, request, job
        self._script = job.script
        self._faulty = request is not None or bool(job.script.listeners)
        self._response = web.StreamResponse()

    async def follow(self, after: int) -> web.StreamResponse:
        self._response.content_type = "text/event-stream"
        await self._response.prepare(self._http)
        self._job.listeners += 1
        try:
            await self._follow(after + 1)
        finally:
            self._job.listeners -= 1
        return self._response

    async def _follow(self, number: int) -> None:
        job, sent = self._job, 0
        words = sum(map(_is_text, job.events[:number]))
        while event := await job.event(number):
            if self._faulty and await self._strike(event, sent, words):
                return
            is_first = _is_text(event) and not words
            if self._request is None and job.script.retell and is_first:
                event = {**event, "delta": job.script.retell}
            await self._send(event)
            words += _is_text(event)
            if self._request is not None:
                self._request.words = words
            number, sent = number + 1, sent + 1
        if job.status != "cancelled":
            await self._write("data: [DONE]\n\n")

    async def _strike(self, event: Event, sent: int, words: int) -> bool:
        """Whether a fault ended this connection before the event."""
        if sent == self._script.cut_at:
            cut(self._http)
            return True
        before_text = _is_text(event) or event["type"] == "response.completed"
        fault = self._script.fault(words, finished=False) if before_text else ""
        if fault == "error":
            error = error_body(self._script)["error"]
            await self._send({"type": "error", "code": error["code"], "message": error["message"]})
        elif fault == "cut":
            cut(self._http)
        elif fault == "done":
            await self._write("data: [DONE]\n\n")
        elif fault == "stall":
            if self._request is not None:
                self._request.stalled.set()
            await asyncio.Event().wait()  # until the client leaves or the server ends
        elif fault == "junk":
            await self._write('data: {"type": broken\n\n')
        elif fault == "chunk":
            assert isinstance(self._http.transport, asyncio.Transport)
            self._http.transport.write(b"this is no chunk size\r\n")
        return bool(fault)

    async def _send(self, event: Event) -> None:
        head = "" if self._script.nospace else f"event: {event['type']}\n"
        data = json.dumps(event, ensure_ascii=False)
        await self._write(f"{head}data:{'' if self._script.nospace else ' '}{data}\n\n")

    async def _write(self, text: str) -> None:
        data = text.replace("\n", "\r\n" if self._script.crlf else "\n").encode()
        step = 1 if self._script.split else max(1, len(data))
        for begin in range(0, len(data), step):
            await self._response.write(data[begin : begin + step])
            if self._script.split:
                await asyncio.sleep(0)


def _is_text(event: Event) -> bool:
    kind: str = event["type"]
    return kind == "response.output_text.delta"
