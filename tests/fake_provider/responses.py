"""OpenAI's Responses API in background mode.

POST responses                                      begins an answer, and streams its events
GET responses/{id}?stream=true[&starting_after=N]   streams them again, behind event N
GET responses/{id}                                  the response as it is now
POST responses/{id}/cancel                          ends the answer; again: nothing more
DELETE responses/{id}                               then none of these finds it any more
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .http import End, Reply, Request, Step
from .kept import Clock, Kept
from .script import SECRET_WORDS, Script
from .wire import DONE, Response, event, is_text

Event = dict[str, Any]

_TOO_OLD: Final = {
    "error": {
        "message": "This response can no longer be streamed because it is more than 5 minutes old.",
        "type": "invalid_request_error",
        "param": "stream",
        "code": None,
    }
}


class Job:
    """One answer that is kept.

    Attributes:
        listened: for each reattachment: after which event (-1: from the first)
            and with which HTTP status.
        polls: the HTTP status of each poll.
        deletes: how often it was to be deleted.
    """

    def __init__(self, number: int, model: str, script: Script, now: Clock) -> None:
        self.id = f"resp_{number}"
        self.script = script
        self.listened: list[tuple[int, int]] = []
        self.polls: list[int] = []
        self.deletes = 0
        ends = {script.fail_after: "failed", script.incomplete_after: "incomplete"}
        words = script.words
        at = min([each for each in ends if 0 <= each <= len(words)], default=len(words))
        self._response = Response(
            id=self.id,
            model=f"{model}-used",
            thoughts=tuple(script.thoughts),
            texts=tuple(words[:at]),
            end=ends.get(at, "completed"),
            error=script.error()["error"],
            reason=script.reason,
        )
        self.kept = Kept(list(self._schedule()), now)

    def _schedule(self) -> Iterator[tuple[float, Event]]:
        script, words = self.script, 0
        for number, (_, each) in enumerate(self._response.events()):
            pace = words / script.rate if script.rate else 0.0
            yield (script.first + pace if number > 1 else 0.0), each
            words += is_text(each)

    @property
    def events(self) -> list[Event]:
        """The text so far."""
        return self.kept.said

    @property
    def over(self) -> bool:
        return self.kept.over

    @property
    def cancels(self) -> int:
        return self.kept.cancels

    @property
    def status(self) -> str:
        """As OpenAI names it."""
        kind = self.events[-1]["type"].removeprefix("response.")
        if self.kept.cancelled:
            return "cancelled"
        if kind == "created":
            return "queued"
        return kind if kind == "queued" or self.over else "in_progress"

    @property
    def document(self) -> dict[str, Any]:
        """The response as it is now."""
        return self._response.document(self.status)


class Jobs:
    """All kept answers.

    Attributes:
        all: oldest first.
        too_old: whether reattaching is refused: OpenAI streams an answer for five minutes only.
        polled: what each poll does in turn: an HTTP status, 0 to answer, 1 for a stream, 2 for a
            page. Afterwards: answer.
        rewrites: what polls give as the text, instead of the answer's own.
        together: the most answers that were made at once.
        as_json: whether requests for streams are answered with the response as JSON.
    """

    def __init__(self, now: Clock) -> None:
        self.all: list[Job] = []
        self.too_old = False
        self.polled: list[int] = []
        self.rewrites = ""
        self.together = 0
        self.as_json = False
        self._now = now

    def begin(self, request: Request, script: Script) -> Reply:
        """Begin an answer."""
        if script.status or script.background == "refuse":
            return script.refusal(script.status or 400)
        if script.html:
            return Reply.whole(b"<h1>no</h1>", media_type="text/html")
        job = Job(len(self.all) + 1, request.body["model"], script, self._now)
        self.all.append(job)
        self.together = max(self.together, sum(not each.over for each in self.all))
        if self.as_json:
            return Reply.json(job.document)
        return Reply(steps=_follow(job, -1, request, begins=True))

    def reply(self, request: Request) -> Reply:
        """Read an answer again, or end it."""
        _, name, *more = request.path.split("/")
        job = next((each for each in self.all if each.id == name), None)
        if job is None:
            return Script().refusal(404)
        if request.method == "DELETE":
            job.deletes += 1
            return job.script.refusal(job.script.refuse) if job.script.refuse else Reply.json({})
        if job.deletes:
            return Script().refusal(404)
        if more == ["cancel"]:
            job.kept.cancel()
            return Reply.json(job.document)
        gone = self._now() - job.kept.begun >= job.script.window
        if request.query.get("stream") != "true":
            return self._poll(job, gone=gone)
        if self.as_json:
            return Reply.json(job.document)
        status = 404 if gone else 400 if self.too_old else job.script.refuse
        after = int(request.query.get("starting_after", -1))
        job.listened.append((after, status or 200))
        if self.too_old and not gone:
            return Reply.json(_TOO_OLD, status)
        if status:
            return job.script.refusal(status)
        return Reply(steps=_follow(job, after, request, begins=False))

    def _poll(self, job: Job, *, gone: bool) -> Reply:
        status = 404 if gone else self.polled.pop(0) if self.polled else 0
        job.polls.append(status or 200)
        if status in (1, 2):
            kind = "text/event-stream" if status == 1 else "text/html"
            return Reply.whole(b"<h1>no</h1>", media_type=kind)
        if status:
            return job.script.refusal(status)
        document = job.document
        if self.rewrites and job.over:
            document["output"][-1]["content"][0]["text"] = self.rewrites
        return Reply.json(document)


def _follow(job: Job, after: int, request: Request, *, begins: bool) -> Iterator[Step]:
    """A stream of the events behind one, faults included."""
    script, sent = job.script, 0
    error = {"type": "error", "code": script.error()["error"]["code"], "message": SECRET_WORDS}
    request.words = sum(map(is_text, job.events[: after + 1]))
    for each in job.kept.follow(after + 1):
        if isinstance(each, float):
            yield each
            continue
        if begins or script.listeners:
            if sent == script.cut_at:
                yield End.RESET
                return
            may_strike = is_text(each) or each["type"] == "response.completed"
            fault = script.strike(request.words, event(error)) if may_strike else None
            if fault is not None:
                yield from fault
                return
        yield event(each, each["type"])
        request.words += is_text(each)
        sent += 1
    if job.kept.cancelled:
        yield event({"type": "response.cancelled", "response": job.document})
    else:
        yield DONE
