"""The shape of one chat-completion chunk: what is read on the hot path, and the slow way.

Fields that do not decide over the answer are `Any`, so that an odd one cannot break it.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from durable_llm_streams.providers._characters import cleaned

T = TypeVar("T")


class Delta(Struct, gc=False):
    content: Any = None
    reasoning: Any = None  # OpenRouter
    reasoning_content: Any = None  # DeepSeek, vLLM, llama.cpp
    images: Any = None  # OpenRouter
    annotations: Any = None  # OpenAI, OpenRouter


class Choice(Struct, gc=False):
    index: Any = None
    delta: Delta | None = None
    finish_reason: Any = None
    error: Any = None


class Chunk(Struct, gc=False):
    choices: list[Choice] | None = None
    error: Any = None
    usage: Any = None
    citations: Any = None  # Perplexity, xAI
    search_results: Any = None  # Perplexity


decode: Final = msgspec.json.Decoder(Chunk).decode
decode_any: Final = msgspec.json.Decoder().decode

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)

_MOST_DIGITS = 300  # of a number; more are no count of anything
_BETWEEN = " \t\r\n,"


def decode_slowly(payload: bytes, kind: type[T]) -> T | None:
    """The slow way, for what the typed decoder refuses: a lone half of a surrogate pair in a text.

    Args:
        payload: JSON.
        kind: what it shall be.

    Returns:
        It, with U+FFFD for every such half, or None if it is something else.
    """
    try:
        return msgspec.convert(cleaned(json.loads(payload)), kind)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def decode_all(payload: bytes) -> list[Any] | None:
    """Every JSON value of a payload, read as leniently as possible.

    Several values may stand behind each other, also with a `data:` that lost its line feed.
    Control characters in strings are read, and bytes that are no UTF-8 become U+FFFD.

    Returns:
        The values before the first place that cannot be read; None if there is none.
    """
    text = payload.decode(errors="replace")
    values: list[Any] = []
    at = _skip(text, 0)
    while at < len(text):
        try:
            value, at = _lenient.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        values.append(value)
        at = _skip(text, at)
        if text.startswith("data:", at):
            at = _skip(text, at + 5)
        if text.startswith(_DONE, at):
            values.append(_DONE)
            at = _skip(text, at + len(_DONE))
    return values or None


_DONE = "[DONE]"


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float("inf")


_lenient = json.JSONDecoder(strict=False, parse_int=_number)
