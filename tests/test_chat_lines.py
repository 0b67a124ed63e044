"""Chat streams, from bytes to chunks: lines, noise, JSON instead of a stream, signs of life."""

from __future__ import annotations

import json

import pytest

from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.source import Alive, Event, ReasoningDelta, TextDelta
from tests.chat_streams import (
    DONE,
    bytes_of,
    delta,
    fail,
    finish,
    joined,
    line,
    outcome,
    said,
    text,
    usage,
)

NOTE = {"url_citation": {"url": "https://example.org/a", "title": "A"}}
SAID = {"role": "assistant", "content": "Hello\nworld", "reasoning": "Hm.", "annotations": [NOTE]}
COMPLETION = {
    "id": "gen-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def test_a_data_line_is_read_before_its_event_is_over() -> None:
    parser = ChatParser()
    assert parser.feed(text("a").rstrip() + b"\n") == [TextDelta("a")]


def test_two_objects_in_one_line_are_both_read() -> None:
    one = json.dumps({"choices": [{"delta": {"content": "a"}}]}).encode()
    for between in (b"", b" ", b"data: ", b","):
        assert said(b"data: " + one + between + one + b"\n\n", finish()) == "aa"
    assert said(b"data: " + one + b"[DONE]\n\n") == "a"


def test_lines_may_end_with_a_carriage_return_wherever_they_are_cut() -> None:
    data = (b": ping\n" + text("a") + text("b") + finish() + DONE).replace(b"\n", b"\r")
    assert said(*(data[at : at + 1] for at in range(len(data)))) == "ab"


@pytest.mark.parametrize(
    "noise",
    [
        *(b": keepalive", b"ping", b"null", b"undefined", b"17672256", b"[]", b'["a"]', b"[ping]"),
        *(b'"text"', b"true", b"2026-01-01T00:00:00Z", b"", b"   ", b"{}", b'{"type":"ping"}'),
        *(b'{"status":"ok"}', b'{"choices":null}', b'{"choices":{}}', b'{"choices":[null]}'),
        *(b'{"choices":[{"delta":null}]}', b'{"choices":[{"delta":"x"}]}', b'{"error":null}'),
        *(b'{"choices":[{"delta":{"content":5}}]}', b'{"error":""}', b'{"error":{}}'),
        *(b'{"usage":"much"}', b'{"error":false}', b'{"choices":[],"usage":null}', b"1e999"),
        *(b'{"choices":[{"delta":{"content":{"a":1}}}]}', b'{"choices":[{"delta":{"images":7}}]}'),
        *(b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"a"}}]}}]}', b"[[[["),
        *(b'{"choices":[{"delta":{},"finish_reason":7}]}', b'{"choices":[{"finish_reason":[]}]}'),
        *(b'{"choices":[{"delta":{},"finish_reason":""}]}', b'{"id":' + b"9" * 5000 + b"}"),
        b'{"choices":[{"index":0,"delta":{"content":""},"logprobs":{"content":[{"token":"a"}]}}]}',
    ],
)
@pytest.mark.parametrize("form", [b"data: %s\n\n", b"event: ping\ndata: %s\n\n"])
def test_noise_is_passed_over(noise: bytes, form: bytes) -> None:
    data = form % noise
    whole = [TextDelta("ab"), "stop"]
    assert joined(data, text("a"), data, text("b"), finish(), data, DONE) == whole


@pytest.mark.parametrize("broken", [b'{"choices":[{"delta":{"con', b"{'choices': []}", b"{"])
def test_a_broken_event_costs_no_more_than_itself(broken: bytes) -> None:
    data = b"data: " + broken + b"\n\n"
    assert said(data, text("a"), data, text("b"), finish()) == "ab"
    assert said(text("a"), b"data: " + broken + b"\n", text("b"), finish()) == "ab"


def test_an_answer_of_broken_events_cannot_be_read() -> None:
    broken = b'data: {"choices"\n\n'
    assert "cannot be read" in str(fail(broken, DONE))
    assert "cannot be read" in str(fail(broken, finish(), DONE))
    *_, failure = outcome(text("a"), broken * 4, text("b"), finish())
    assert "cannot be read" in failure[0]
    assert failure[1] is True


def test_one_json_answer_needs_no_finish_reason() -> None:
    whole = {"message": {"content": [{"type": "text", "text": "a"}]}}
    for choice, end in ((whole, b""), ({"text": "a"}, DONE)):
        assert joined(json.dumps({"choices": [choice]}).encode(), end) == [TextDelta("a"), "stop"]


def test_a_whole_message_behind_its_deltas_is_no_second_text() -> None:
    whole = b"data: " + json.dumps(COMPLETION).encode() + b"\n\n"
    assert said(text("Hello\n"), text("world"), whole, DONE) == "Hello\nworld"
    both = line({"delta": {"content": "b"}, "message": {"content": "ab"}})
    last = line({"delta": {"content": ""}, "message": {"content": "ab"}, "finish_reason": "stop"})
    assert said(text("a"), both, last) == "ab"


def test_one_object_for_each_line_is_read_as_chunks() -> None:
    parser = ChatParser()
    chunk = json.dumps({"choices": [{"delta": {"content": "a"}}]}).encode()
    assert parser.feed(chunk + b"\n") == [TextDelta("a")]
    ollama = {"model": "m", "message": {"role": "assistant", "content": "b"}, "done": False}
    last = ollama | {"message": {"content": ""}, "done": True, "done_reason": "length"}
    assert parser.feed(json.dumps(ollama).encode() + b"\n") == [TextDelta("b")]
    parser.feed(json.dumps(last | {"eval_count": 2}).encode())
    parser.end()
    end = parser.finish()
    assert (end.reason, end.metadata["usage"]) == ("length", {"outputTokens": 2})


@pytest.mark.parametrize(
    "body", [b"[%s,\n%s\n]", b"[\n%s,\n%s,\n]", b"%s,\n%s,\n", b'{"choi\n%s\n%s', b"\n%s%s"]
)
def test_chunks_in_one_json_array_or_list_are_read(body: bytes) -> None:
    chunk = b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}'
    for pieces in ([body % (chunk, chunk)], bytes_of(body % (chunk, chunk))):
        assert joined(*pieces) == [TextDelta("aa"), "stop"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"Too many requests","code":429}}',
        b'[{"error":{"code":429,"message":"Resource exhausted"}}]',
        b'[\n {\n  "error": {\n   "code": 429,\n   "message": "Slow down"\n  }\n }\n]',
        b'{"object":"error","message":"Rate limit reached","code":429}',
        b'{"error":"rate limit exceeded","code":429}',
        b'{"errors":[{"message":"Too many requests","code":429}]}',
        b'{"detail":"Rate limit exceeded","status":429}',
        b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}',
        b'{"status":"error","message":"Rate limit exceeded"}',
        b'{"code":429,"message":"Rate limit exceeded"}',
    ],
)
@pytest.mark.parametrize(
    "form", [b"%s", b"data: %s\n\n", b": wait\n\n%s\n", b"event: error\ndata: %s\n\n"]
)
def test_an_error_object_of_any_form_is_a_failure(body: bytes, form: bytes) -> None:
    if b"data: " in form:
        body = body.replace(b"\n", b"\ndata: ")
    for before in (b"", text("a")):
        *events, failure = outcome(before + form % body)
        assert events == [TextDelta("a")] * bool(before)
        assert "busy" in failure[0]
        assert failure[1] is True


@pytest.mark.parametrize("data", [b'{"message":"Oh no"}', b"Oh no", b'"Oh no"', b"{}", b"[DONE]?"])
def test_an_event_named_error_is_an_error_whatever_it_holds(data: bytes) -> None:
    *events, failure = outcome(text("a"), b"event: error\ndata: " + data + b"\n\n", finish(), DONE)
    assert events == [TextDelta("a")]
    assert "broke off" not in failure[0]


def test_the_name_of_an_event_ends_with_it() -> None:
    assert said(b"event: error\n\n", b'data: {"message":"x"}\n\n', text("a"), finish()) == "a"


EVENTS: list[tuple[bytes, list[Event]]] = [
    (b": OPENROUTER PROCESSING\n\n", [Alive("comment")]),
    (b"event: ping\ndata: 1\n\n", [Alive("comment")]),
    (b"event: ping\ndata: {}\n\n", [Alive("chunk")]),
    (b"data: ping\n\n", [Alive("comment")]),
    (b"data: null\n\n", [Alive("comment")]),
    (b"\n", [Alive("comment")]),
    (delta(role="assistant", content=""), [Alive("chunk")]),
    (delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}]), [Alive("chunk")]),
    (delta(tool_calls=[{"function": {"arguments": "abc"}}]), [Alive("chunk")]),
    (usage(3), [Alive("chunk")]),
    (b'data: {"choices":[{"del', [Alive("chunk")]),
    (b'ta":{}}]}\n\n', [Alive("chunk")]),
    (delta(content="") + text("a"), [TextDelta("a")]),
    (b": comment\n\n", [Alive("comment")]),
    (finish(), [Alive("chunk")]),
    (DONE, []),
    (b": comment\n\n", []),
]


def test_each_read_without_output_is_one_sign_of_life() -> None:
    parser = ChatParser()
    assert [parser.feed(data) for data, _ in EVENTS] == [events for _, events in EVENTS]


def test_the_bytes_of_a_json_answer_are_signs_of_life() -> None:
    parser = ChatParser()
    *pieces, last = bytes_of(json.dumps(COMPLETION).encode())
    assert {event for piece in pieces for event in parser.feed(piece)} == {Alive("chunk")}
    assert parser.feed(last + b"\n")[0] == ReasoningDelta("Hm.")
