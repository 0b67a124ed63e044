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
    begun = _asked_to_go_on(messages)
    refuses = (said and script.prefill == "refuse") or (begun and script.continues == "refuse")
    if refuses or script.status:
        return script.refusal(400 if refuses else script.status)
    if script.html:
        return Reply.whole(f"<h1>{SECRET_WORDS}</h1>".encode(), media_type="text/html")
    if script.json:
        return Reply.json(script.error() if script.code else {"choices": []})
    if script.redirect:
        return Reply.whole(b"", 307, Location="/elsewhere")
    text = _continuation(script, begun) if begun else _rest(script, said)
    if request.body["stream"] is False:
        return Reply.json(completion(text, script.finish, completion_usage(script.tokens)))
    steps = script.dressed(_steps(script, text, request, now))
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
        yield event(chunk({script.field: thought}, **about))
    words = words_of(text)
    for number in range(len(words) + 1):
        if (fault := script.strike(number, error)) is not None:
            yield from fault
            return
        if number < len(words):
            if script.rate:
                yield max(0.0, begun + number / script.rate - now())
            if script.comments:
                yield b": OPENROUTER PROCESSING\n\n" * script.comments
            yield event(chunk({"role": "assistant", "content": words[number]}, **about))
            request.words = number + 1
    yield event(chunk({"content": ""}, script.finish, **about))
    if (fault := script.strike(len(words), error, finished=True)) is not None:
        yield from fault
        return
    if script.usage:
        yield event(chunk(None, usage=completion_usage(len(words)), **about))
    yield DONE


def _rest(script: Script, said: str) -> str:
    """What of the answer comes after a beginning."""
    if not said or script.prefill in ("ignore", "echo") or not script.text.startswith(said):
        return script.text
    rest = script.text[len(said) :]
    return rest.lstrip() if script.prefill == "trim" else rest


def _asked_to_go_on(messages: list[dict[str, Any]]) -> str:
    """The partial answer that the last message asks to go on with; "" for none."""
    asked = messages[-1]["role"] == "user" and "Please continue" in messages[-1]["content"]
    return str(messages[-2]["content"]) if asked else ""


def _continuation(script: Script, begun: str) -> str:
    """How a model goes on that is asked to in words."""
    if script.continues == "sorry":
        return "I'm sorry, but I cannot see what you mean."
    if script.continues == "anew" or not script.text.startswith(begun):
        return script.text
    if script.continues == "overlap":
        return script.text[max(0, len(begun) - 30) :]
    return "Sure, continuing:\n\n" * (script.continues == "preamble") + script.text[len(begun) :]
