"""The shape of one chat-completion chunk: of all its fields, those that are read here.

Fields that do not decide over the answer are `Any`, so that an odd one cannot break it.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from durable_llm_streams.runs.source import Event, ReasoningDelta, TextDelta

T = TypeVar("T")


class Delta(Struct, gc=False):
    content: Any = None
    reasoning: Any = None  # OpenRouter
    reasoning_content: Any = None  # DeepSeek, vLLM, llama.cpp
    refusal: Any = None  # OpenAI


class Choice(Struct, gc=False):
    delta: Delta | None = None
    finish_reason: Any = None
    error: Any = None


class Chunk(Struct, gc=False):
    choices: list[Choice] | None = None
    error: Any = None
    usage: Any = None
    id: Any = None
    model: Any = None


decode: Final = msgspec.json.Decoder(Chunk).decode

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


def decode_slowly(payload: bytes, kind: type[T]) -> T | None:
    """The slow way, for what the typed decoder refuses: a lone half of a surrogate pair in a text.

    Args:
        payload: JSON.
        kind: what it shall be.

    Returns:
        It, with U+FFFD for every such half, or None if it is something else.
    """
    try:
        value = json.loads(payload)
        return msgspec.convert(_scrubbed(value), kind)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    return value


def parts(content: list[Any]) -> list[Event]:
    """A content made of parts (Mistral's reasoning models): texts, and thinking made of texts."""
    events: list[Event] = []
    for part in content:
        if not isinstance(part, dict):
            continue
        text, thinking = part.get("text"), part.get("thinking")
        if isinstance(text, str) and text:
            events.append(TextDelta(text))
        if isinstance(thinking, list):
            texts = [piece.get("text") for piece in thinking if isinstance(piece, dict)]
            thinking = "".join(piece for piece in texts if isinstance(piece, str))
        if isinstance(thinking, str) and thinking:
            events.append(ReasoningDelta(thinking))
    return events
