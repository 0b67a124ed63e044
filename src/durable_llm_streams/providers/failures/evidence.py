"""The evidence in a failure, in whatever shape it comes: words, texts, fields and times.

Providers, servers and gateways put an error into an object, an array, a string of JSON inside
another error, plain text or a page. The walk through it is bounded. It skips echoes of the
request: a user's own text must not be taken for the provider's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

MAX_BODY: Final = 64 * 1024  # characters of a body that are read

_DEPTH = 12
_NODES = 400
_TEXT = 4000  # characters of one message: its head and its tail
_ALL_TEXT = 8000

_DECODER = json.JSONDecoder()
_CLASS = re.compile(r"\b[a-z]{4,40}(?:error|exception)\b")
_TAG = re.compile(r"<[^<>]{0,300}>")

# names of fields with a sentence, and with a word from the provider's documentation
_SENTENCES = frozenset(
    {
        *("message", "msg", "detail", "details", "error", "errors", "raw", "title", "reason"),
        *("error_description", "errormessage", "error_message", "error_msg", "errormsg"),
        *("description", "status_msg", "cause", "info", "text", "base_resp", "innererror"),
    }
)
_WORDS = frozenset(
    {
        *("code", "type", "status", "reason", "kind", "error_type", "errorcode", "error_code"),
        *("__type", "quotaid", "quotametric", "limit_source", "statuscode", "status_code"),
        *("http_status", "error"),
    }
)
_ECHOES = frozenset(
    {
        *("input", "ctx", "messages", "request", "prompt", "choices", "usage", "flagged_input"),
        *("links", "body", "user_id", "request_id", "model", "output"),
    }
)
_DELAYS = frozenset(
    {
        *("retry_after", "retry-after", "retryafter", "retry_after_seconds", "retrydelay"),
        *("retry_after_ms", "estimated_time", "resets_in_seconds", "retry_in", "retryinfo"),
        *("resets_at", "reset_at", "resetat"),
    }
)


class Evidence(Struct):
    """The evidence that was found.

    Attributes:
        form: `json`, `text` or `page`.
        is_error: whether the JSON names itself an error.
        words: codes, types, names of exceptions and the like, in lower case, outermost first.
        numbers: codes that can be HTTP statuses, each with its depth.
        texts: sentences, on one line, as they were written.
        params: names of request fields that the error is about, such as `messages.0.role`.
        extra: those of them that the server does not know.
        delays: names and values of fields that may hold a time to wait.
        headers: response headers of an upstream provider.
        moderated: whether a moderation gives its reasons.
    """

    form: str = "json"
    is_error: bool = False
    words: list[str] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    delays: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[Mapping[Any, Any]] = field(default_factory=list)
    moderated: bool = False

    @property
    def codes(self) -> list[int]:
        """Codes that can be HTTP statuses, the innermost last: it is nearest to the cause."""
        return [number for _, number in sorted(self.numbers, key=lambda found: found[0])]

    @property
    def text(self) -> str:
        """All sentences, in lower case."""
        return " \n".join(self.texts)[:_ALL_TEXT].lower().replace("\u2019", "'")


def from_body(body: str) -> Evidence:
    """Read the body of a failed request, or of an invalid answer. Never raises.

    Args:
        body: JSON, text or a page.
    """
    text = body[:MAX_BODY].strip().removeprefix("\ufeff")
    value = _json(text)
    if isinstance(value, dict | list):
        return from_value(value)
    if isinstance(value, str):
        text = value
    if text.startswith("<"):
        return Evidence(form="page", texts=[_line(_TAG.sub(" ", text[:_ALL_TEXT]))])
    found = Evidence(form="text", texts=[_line(text)] if text else [])
    _Walk(found).embedded(text, 0)
    return found


def from_value(value: Any) -> Evidence:
    """Read decoded JSON: an error, or a value around one. Never raises.

    Args:
        value: any JSON value.
    """
    found = Evidence(is_error=_says_error(value))
    _Walk(found).value(value, "error", 0)
    return found


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _says_error(value: Any) -> bool:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return False
    named = any(value.get(name) for name in ("error", "errors", "errorCode", "error_code"))
    return named or "error" in (value.get("object"), value.get("type"))


def _line(text: str) -> str:
    """The text on one line; of a long text its head and its tail, where exceptions are."""
    text = " ".join(text.split())
    return text if len(text) <= _TEXT else f"{text[: _TEXT // 2]} {text[-_TEXT // 2 :]}"


class _Walk:
    """Collects the evidence in values."""

    def __init__(self, found: Evidence) -> None:
        self._found = found
        self._left = _NODES

    def value(self, value: Any, name: str, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > _DEPTH:
            return
        if isinstance(value, dict):
            self._object(value, name, depth)
        elif isinstance(value, list):
            for item in value[:_NODES]:
                self.value(item, name, depth + 1)
        elif isinstance(value, str):
            self._string(value, name, depth)
        elif isinstance(value, int) and name in _WORDS:
            self._number(value, depth)

    def embedded(self, text: str, depth: int) -> None:
        """Read the JSON inside a text, such as `Error 429: {"error": ...}`."""
        start = min((at for at in (text.find("{"), text.find("[{")) if at >= 0), default=-1)
        if start < 0:
            return
        try:
            value, _ = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        self.value(value, "error", depth + 1)

    def _object(self, value: dict[Any, Any], name: str, depth: int) -> None:
        found = self._found
        if name in _DELAYS:
            found.delays.append((name, value))
        self._parameters(value)
        for key, item in list(value.items())[:_NODES]:
            inner = str(key).lower()
            if inner in _DELAYS:
                found.delays.append((inner, item))
            elif inner == "headers" and isinstance(item, dict):
                found.headers.append(item)
            elif inner in ("reasons", "flagged_input") and item:
                found.moderated = True
            elif inner not in _ECHOES:
                self.value(item, inner, depth + 1)

    def _parameters(self, value: dict[Any, Any]) -> None:
        """The request's fields that an error names: OpenAI's `param`, pydantic's `loc`."""
        param, loc = value.get("param"), value.get("loc")
        if isinstance(loc, list):
            param = ".".join(str(step) for step in loc[:10] if step != "body")
        if not isinstance(param, str) or not param or len(param) > 200:
            return
        self._found.params.append(param.lower())
        sentence = f"{value.get('type')} {value.get('msg')}".lower()[:_TEXT]
        if isinstance(loc, list) and ("extra" in sentence or "not permitted" in sentence):
            self._found.extra.append(param.lower())

    def _string(self, value: str, name: str, depth: int) -> None:
        text = value[:MAX_BODY].strip()
        if name in _WORDS and len(text) <= 200:
            self._word(text, depth)
        if name in _SENTENCES and text:
            if text[0] in "{[":
                self.embedded(text, depth)
            line = _line(text)
            self._found.texts.append(line)
            self._found.words += _CLASS.findall(line.lower())[:10]
            if text[0] not in "{[":
                self.embedded(text, depth)

    def _word(self, text: str, depth: int) -> None:
        if len(text) == 3 and text.isascii() and text.isdigit():
            self._number(int(text), depth)
        else:
            self._found.words.append(text.lower())

    def _number(self, number: int, depth: int) -> None:
        if 400 <= number < 600:
            self._found.numbers.append((depth, number))
        elif 0 < number < 1_000_000:
            self._found.words.append(str(int(number)))
