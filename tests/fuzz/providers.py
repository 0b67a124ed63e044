"""What a model's provider sends, and an operator's file about providers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from durable_llm_streams.chunks import encode
from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.providers.requests.prefill import PrefillTable, Seam, trimmed
from durable_llm_streams.providers.streams.answer_parser import MAX_LINE, AnswerParser
from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.providers.streams.responses_sse import ResponsesParser, is_id
from durable_llm_streams.source import (
    Alive,
    Citation,
    Event,
    File,
    Finish,
    Job,
    LateThought,
    ReasoningDelta,
    TextDelta,
)
from tests.fuzz.harness import SECRET, assert_sentence, is_sentence, splits

_SHORT_LINE = 64
_STYLES = (None, "plain", "mistral", "vllm")
_redact = failures.Redactor([SECRET])


def chat_stream(data: bytes) -> None:
    """A stream of chat-completion chunks."""
    _compare(ChatParser, data)
    _compare(partial(ChatParser, late_thoughts=True), data)


def response_stream(data: bytes) -> None:
    """A stream of a response, read from its beginning and from the middle."""
    _compare(ResponsesParser, data)
    _compare(partial(ResponsesParser, Job("resp_1", "2")), data)


def _compare(make: Callable[..., AnswerParser], data: bytes) -> None:
    """However it is cut, a stream gives the same events, and fails only at its end."""
    for max_line in (MAX_LINE, _SHORT_LINE):
        whole = _read(make(max_line=max_line), [data])
        for pieces in splits(data):
            assert _read(make(max_line=max_line), pieces) == whole


def _read(parser: AnswerParser, pieces: list[bytes]) -> list[Any]:
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
        assert parser.done or len(parser._tail) <= parser._max_line
    events += parser.end()
    assert parser.done
    told: list[Any] = []
    for event in events:
        if isinstance(event, Job):
            assert is_id(event.id)  # the place of the repetition follows the pieces
        elif not isinstance(event, Alive):  # one for each read, as the pieces are
            _check(event)
            told.append(event)
    try:
        end = parser.finish()
    except ModelError as error:
        return [*told, _told(error)]
    assert isinstance(end, Finish)
    encode({"reason": end.reason, "metadata": end.metadata})
    return [*told, end]


def _check(event: Event | LateThought) -> None:
    """What an event holds can be stored, and followed."""
    match event:
        case TextDelta(text=text) | ReasoningDelta(text=text):
            assert text.encode()
        case File(media_type=media, url=url):
            assert media.isascii()
            assert url.startswith("data:") or urlsplit(url).scheme.lower() in ("http", "https")
        case Citation(url=url, title=title):
            assert urlsplit(url).scheme.lower() in ("http", "https")
            assert len(title.encode()) < 2000
        case _:
            assert isinstance(event, LateThought)


def _told(error: ModelError) -> tuple[str, bool, float | None, str]:
    assert_sentence(str(error))
    assert str(error).isascii()
    logged = _redact(error.detail)
    assert SECRET not in logged
    assert len(logged) <= failures.MAX_DETAIL
    assert logged.isprintable()
    assert error.retry_after is None or 0 <= error.retry_after <= failures.MAX_WAIT
    return str(error), error.retryable, error.retry_after, error.detail


def refusal(data: bytes) -> None:
    """Three digits of a status, what `Retry-After` says, a line feed, the body."""
    head, _, rest = data.partition(b"\n")
    status = int(head[:3]) if head[:3].isdigit() else 500
    wait = failures.wait_asked(head[3:].decode("latin-1"), now=1.75e9)
    body = rest.decode(errors="replace")
    for continuing in (False, True):
        error = failures.refused(status, body, retry_after=wait, continuing=continuing)
        _told(error)
        assert error.refused_rung <= continuing
    _told(failures.not_a_stream(body))


def prefill_setting(data: bytes) -> None:
    """The operator's table: a rule for every model, or a sentence."""
    try:
        table = PrefillTable.parse(data.decode(errors="surrogateescape"))
    except InvalidSetting as error:
        is_sentence(str(error))  # it may show the operator's own words
        return
    for model in ("anthropic/claude-3-opus", "mistralai/x:free", "", "a:b:c", "[", "\ud800"):
        assert table.style(model) in _STYLES


def seam(data: bytes) -> None:
    """The text so far, NUL, the continuation: joined as if it had come in one piece."""
    said, _, text = data.decode(errors="replace").partition("\0")
    for echoes in (False, True):
        expected = _joined_at_once(said, text, echoes=echoes)
        for pieces in ([text], list(text), *_texts(text)):
            joint = Seam(said, echoes=echoes)
            joined = [joint.join(piece) if joint.open else piece for piece in pieces]
            assert "".join(joined) + joint.end() == expected


def _joined_at_once(said: str, text: str, *, echoes: bool) -> str:
    begun = trimmed(said)
    if echoes:
        text = text.removeprefix(begun)
    for mark in said[len(begun) :]:
        if not text.startswith(mark):
            break
        text = text[1:]
    return text


def _texts(text: str) -> list[list[str]]:
    """The text in pieces: cut where bytes of the same number would be."""
    found = []
    for pieces in splits(bytes(len(text))):
        ends = [sum(map(len, pieces[:count])) for count in range(len(pieces) + 1)]
        found.append([text[begin:end] for begin, end in pairwise(ends)])
    return found
