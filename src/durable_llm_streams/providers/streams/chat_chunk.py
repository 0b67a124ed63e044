"""The JSON of chat completions: the shape of a plain chunk for the hot path, and the slow way.

The decoder of the hot path refuses everything that is not plain. Only a refused chunk is decoded
a second time.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from .characters import cleaned

T = TypeVar("T")

MAX_PLAIN: Final = 255  # characters of a plain text; one with a picture in it has more


class PlainDelta(Struct, gc=False):
    """The delta of a plain chunk: texts only."""

    content: Annotated[str, Meta(max_length=MAX_PLAIN)] | None = None
    reasoning: str | None = None  # OpenRouter
    reasoning_content: str | None = None  # DeepSeek, vLLM, llama.cpp
    images: None = None  # OpenRouter
    annotations: None = None  # OpenAI, OpenRouter


class PlainChoice(Struct, gc=False):
    """The choice of a plain chunk."""

    delta: PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None
    error: None = None


class PlainChunk(Struct, gc=False):
    """A chunk with text or reasoning and nothing else: fields that are `None` must be null."""

    choices: tuple[PlainChoice]
    error: None = None
    usage: None = None
    citations: None = None  # Perplexity, xAI
    search_results: None = None  # Perplexity


decode_plain: Final = msgspec.json.Decoder(PlainChunk).decode
decode_any: Final = msgspec.json.Decoder().decode

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)

_MOST_DIGITS = 300  # of a number; more are no count of anything
_BETWEEN = " \t\r\n,"
_DONE = "[DONE]"


def decode_slowly(payload: bytes, kind: type[T]) -> T | None:
    """Decode what the typed decoder refuses: a lone half of a surrogate pair in a text.

    Args:
        payload: JSON.
        kind: the type to decode.

    Returns:
        The value, with U+FFFD for every such half; None if it is not of this type.
    """
    try:
        return msgspec.convert(cleaned(json.loads(payload)), kind)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def decode_all(payload: bytes) -> list[Any] | None:
    """Every JSON value of a payload, read as leniently as possible.

    Several values may follow each other, also with a `data:` that lost its line feed.
    Control characters in strings are accepted, and invalid UTF-8 becomes U+FFFD.

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


def decode_lines(payload: bytes) -> list[Any] | None:
    """The objects of a body with one object a line, which cannot be read as a whole.

    Returns:
        The objects; None if there is none.
    """
    lines = (line.strip(b" \t[],") for line in payload.split(b"\n"))
    found = (decode_all(line) for line in lines if line.startswith(b"{"))
    return [value for values in found for value in values or ()] or None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float("inf")


_lenient = json.JSONDecoder(strict=False, parse_int=_number)
