"""Chat completions: from a request and its script to the steps of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .http import Reply, Request, Step
from .kept import Clock
from .script import SECRET_WORDS, Script, words_of
from .wire import DONE, chunk, completion, completion_usage, event


def reply(script: Script, request: Request, now: Clock) -> Reply:
    """The answer to a request for a chat completion."""
    messages = request.body["messages"]
    said = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
    if script.status:
        return script.refusal(script.status)
    if script.html:
        return Reply.whole(f"<h1>{SECRET_WORDS}</h1>".encode(), media_type="text/html")
    if script.redirect:
        return Reply.whole(b"", 307, Location="/elsewhere")
    text = script.text if script.echo else script.text.removeprefix(said)
    if request.body["stream"] is False:
        return Reply.json(completion(text, script.finish, completion_usage(script.tokens)))
    steps = _steps(script, text, request, now)
    return Reply(headers={"X-Generation-Id": "gen-header"}, steps=steps)


def _steps(script: Script, text: str, request: Request, now: Clock) -> Iterator[Step]:
    about: dict[str, Any] = {
        "model": f"{request.body['model']}-used",
        "provider": "Fake",
        "created": 1,
    }

    error = event({**chunk({"content": ""}, "error", **about), **script.error()})
    if script.first:
        yield script.first
    begun = now()
    for thought in script.thoughts:
        yield event(chunk({"reasoning": thought}, **about))
    words = words_of(text)
    for number in range(len(words) + 1):
        if (fault := script.strike(number, error)) is not None:
            yield from fault
            return
        if number < len(words):
            if script.rate:
                yield max(0.0, begun + number / script.rate - now())
            yield event(chunk({"role": "assistant", "content": words[number]}, **about))
            request.words = number + 1
    yield event(chunk({"content": ""}, script.finish, **about))
    if (fault := script.strike(len(words), error, finished=True)) is not None:
        yield from fault
        return
    yield event(chunk(None, usage=completion_usage(len(words)), **about))
    yield DONE
