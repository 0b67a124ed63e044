"""Chat-completion streams made up for tests, and what the parser makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.source import Alive, Event, Finish, ReasoningDelta, TextDelta

DONE = b"data: [DONE]\n\n"


def line(choice: Any = None, **fields: Any) -> bytes:
    """An event with one choice, or of the fields alone."""
    chunk = fields if choice is None else {"choices": [choice], **fields}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(**fields: Any) -> bytes:
    return line({"delta": fields})


def text(content: Any) -> bytes:
    return delta(content=content)


def finish(reason: Any = "stop") -> bytes:
    return line({"delta": {}, "finish_reason": reason})


def usage(tokens: int) -> bytes:
    return line(choices=[], usage={"completion_tokens": tokens})


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


def bytes_of(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def events_of(parser: ChatParser, pieces: Iterable[bytes]) -> list[Event]:
    """The events of a whole body, without signs of life."""
    events = [event for piece in pieces for event in parser.feed(piece)]
    events += parser.end()
    return [event for event in events if not isinstance(event, Alive)]


def read(*pieces: bytes, **options: Any) -> list[Event]:
    """All events and the finish; raises what the parser raises."""
    parser = ChatParser(**options)
    return [*events_of(parser, pieces), parser.finish()]


def outcome(*pieces: bytes, **options: Any) -> list[Any]:
    """The events and, at their end, what is known of the failure if there is one."""
    parser = ChatParser(**options)
    events: list[Any] = [*events_of(parser, pieces)]
    try:
        events.append(parser.finish())
    except ModelError as error:
        events.append((str(error), error.retryable, error.detail))
    return events


def fail(*pieces: bytes, **options: Any) -> ModelError:
    """The failure of a stream that has to have one."""
    try:
        read(*pieces, **options)
    except ModelError as error:
        return error
    raise AssertionError("The answer did not fail.")


def said(*pieces: bytes, **options: Any) -> str:
    """The text of a stream that is a whole answer."""
    return "".join(event.text for event in read(*pieces, **options) if isinstance(event, TextDelta))


def joined(*pieces: bytes, **options: Any) -> list[Any]:
    """The events with neighbouring deltas joined; the reason in place of the finish."""
    found: list[Any] = []
    for event in read(*pieces, **options):
        last = found[-1] if found else None
        if isinstance(event, Finish):
            found.append(event.reason)
        elif isinstance(event, TextDelta | ReasoningDelta) and type(last) is type(event):
            found[-1] = type(event)(last.text + event.text)
        else:
            found.append(event)
    return found
