"""The parser of chat-completion streams: bytes in, events out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.runs.source import Alive, Event, Finish, ReasoningDelta, TextDelta
from tests.chat_streams import (
    DONE,
    bytes_of,
    delta,
    finish,
    line,
    outcome,
    pieces_of,
    read,
    said,
    text,
)

# As OpenRouter sends it: a comment first, reasoning, text, usage last with no choices.
GOLDEN = (
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"id":"gen-1","provider":"P","model":"a/b","object":"chat.completion.chunk",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm."},'
    b'"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}\n\n'
    b'data: {"id":"gen-1","model":"a/b","choices":[{"index":0,"delta":{"content":"One"},'
    b'"finish_reason":null}]}\r\n\r\n'
    b'data:{"id":"gen-1","model":"a/b","choices":[{"index":0,"delta":{"content":" \xe2\x80\xa8two'
    b'\xc2\x85 [DONE] \xf0\x9f\x8c\x8d"}}],"usage":null}\n\n'
    b"event: message\nid: 7\nretry: 10\n\n"
    b'data: {"id":"gen-1","model":"a/b","choices":[{"index":0,"delta":{"content":null},'
    b'"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"gen-1","model":"a/b","choices":[],"usage":{"prompt_tokens":7,'
    b'"completion_tokens":3,"total_tokens":10,"cost":0.5,"cost_details":null,'
    b'"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":'
    b'{"reasoning_tokens":1}}}\n\n'
    b"data: [DONE]\n\n"
    b"data: not read any more\n\n"
)
GOLDEN_EVENTS: list[Event] = [
    ReasoningDelta("Hm."),
    TextDelta("One"),
    TextDelta(" \u2028two\u0085 [DONE] \U0001f30d"),
    Finish(
        reason="stop",
        metadata={
            "model": "a/b",
            "usage": {
                "inputTokens": 7,
                "outputTokens": 3,
                "totalTokens": 10,
                "reasoningTokens": 1,
                "cachedInputTokens": 2,
            },
            "cost": 0.5,
            "generationId": "gen-1",
        },
    ),
]


def test_the_golden_stream_gives_its_events() -> None:
    assert read(GOLDEN) == GOLDEN_EVENTS


def test_a_stream_in_single_bytes_gives_the_same_events() -> None:
    assert read(*bytes_of(GOLDEN)) == GOLDEN_EVENTS


@pytest.mark.promise("foreign-bytes")
@given(st.lists(st.integers(0, 100_000), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    assert read(*pieces_of(GOLDEN, cuts)) == GOLDEN_EVENTS


@pytest.mark.promise("foreign-bytes")
@given(st.lists(st.text(min_size=1), min_size=1), st.lists(st.integers(0, 100_000), max_size=6))
def test_any_text_comes_through_as_it_is(texts: list[str], cuts: list[int]) -> None:
    assume(not "".join(texts).isspace())  # which is an empty answer
    chunks = [{"choices": [{"delta": {"content": each}}]} for each in texts]
    raw = (json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks)
    data = b"".join(b"data: " + each + b"\n\n" for each in raw) + finish() + DONE
    assert said(*pieces_of(data, cuts)) == "".join(texts)


FRAGMENTS = st.sampled_from(
    [
        text("a"),
        finish(),
        DONE,
        b"data: ",
        b"data: {\n",
        b"\xff\n",
        b"data: 1e999\n",
        b"data: " + b"[" * 5000 + b"\n",
        b'data: {"choices": 3}\n',
        b'data: {"choices": [null]}\n',
        b'data: {"choices": [{"delta": []}]}\n',
        b'data: {"error": 1}\n',
        b'data: {"usage": "much", "choices": []}\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n',
        b'data: {"choices":[{"delta":{"content":[1,{"text":2},{"thinking":[3]}]}}]}\n',
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"event: error\n",
        b'event: error\ndata: {\ndata: "message": 1}\n\n',
        b'{"choices":[{"message":{"content":"a"}}]}\n',
        b'{\n"choices":\n[]}',
        b'[{"error":{"code":429}}]\n',
        b"<html>\n",
        text("<think>b</thi"),
        text("nk>c"),
        text("d\n</think>"),
        text("\ud83d"),
        text("\ude00"),
        line({"delta": {"content": "e"}, "finish_reason": "stop"}),
        line({"delta": {"images": ["data:image/png;base64,AAAA"]}}, citations=["https://a.b"]),
        finish("abort"),
        line(choices=[], usage={"completion_tokens": 1}),
    ]
)


@pytest.mark.promise("foreign-bytes")
@given(
    st.lists(st.binary(max_size=40) | FRAGMENTS, max_size=12),
    st.lists(st.integers(0, 100_000), max_size=6),
)
@example([b"data: ", b"\n", b"data: [DONE]"], [])
@settings(max_examples=300)
def test_garbage_raises_nothing_but_model_errors_and_always_the_same(
    fragments: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(fragments)
    assert outcome(*pieces_of(data, cuts)) == outcome(data)


@pytest.mark.promise("foreign-bytes")
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_odd_values_in_fields_that_do_not_matter_break_nothing(value: Any) -> None:
    usage = {"prompt_tokens": value, "cost": value, "prompt_tokens_details": value}
    odd = {"id": value, "model": value, "usage": usage, "system_fingerprint": value}
    events = read(line({"delta": {"content": "a"}}, **odd), finish(), line(usage=value), DONE)
    assert events[0] == TextDelta("a")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("function_call", "tool-calls"),
        ("eos", "stop"),
        ("END_TURN", "stop"),
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("SAFETY", "content-filter"),
        ("refusal", "content-filter"),
        ("tool_use", "tool-calls"),
        ("something new", "other"),
    ],
)
def test_finish_reasons_get_the_names_of_the_ai_sdk(theirs: str, ours: str) -> None:
    assert read(text("a"), finish(theirs), DONE)[-1] == Finish(reason=ours, metadata={})


def test_a_whole_read_without_output_is_a_sign_of_life() -> None:
    parser = ChatParser()
    assert parser.feed(b": OPENROUTER PROCESSING\n\n") == [Alive("comment")]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("end", [b"", text(""), b'data: {"choices": [{"del'])
def test_an_end_without_a_finish_reason_is_a_cut(end: bytes) -> None:
    with pytest.raises(ModelError, match="broke off") as caught:
        read(text("a"), end)
    assert caught.value.retryable


def test_done_counts_only_as_a_whole_line() -> None:
    events = read(text("[DONE]"), text("data: [DONE]"), text("b"), finish(), b"data:[DONE]\r\n")
    assert events[:-1] == [TextDelta("[DONE]"), TextDelta("data: [DONE]"), TextDelta("b")]


def test_a_last_line_without_a_line_feed_counts_if_it_is_whole() -> None:
    assert read(text("a"), finish().rstrip())[-1] == Finish(reason="stop", metadata={})


def test_a_byte_order_mark_hides_no_first_word() -> None:
    assert read(b"\xef\xbb\xbf" + text("a"), finish())[0] == TextDelta("a")


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_both_names_of_reasoning_are_read_and_come_before_the_text(field: str) -> None:
    events = read(delta(**{"content": "a", field: "think"}), finish())
    assert events[:-1] == [ReasoningDelta("think"), TextDelta("a")]


def test_reasoning_under_both_names_at_once_counts_once() -> None:
    both = delta(reasoning="think", reasoning_content="think")
    assert read(both, text("a"), finish())[:-1] == [ReasoningDelta("think"), TextDelta("a")]


def test_a_content_made_of_parts_is_read() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    events = read(text([thinking]), text([{"type": "text", "text": "a"}]), finish())
    assert events[:-1] == [ReasoningDelta("hm"), TextDelta("a")]


def test_a_refusal_is_the_answers_text() -> None:
    assert read(line({"delta": {"content": None, "refusal": "No."}}), finish())[0] == TextDelta(
        "No."
    )


@pytest.mark.promise("foreign-bytes")
def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    assert said(text("a\ud83d"), finish()) == "a\ufffd"
    assert said(text("a\ud83d"), text("b"), finish()) == "a\ufffdb"
    assert read(line({"delta": {"content": "a\udc00"}}, id="\ud83d"), finish())[-1] == Finish(
        reason="stop", metadata={"generationId": "\ufffd"}
    )


@pytest.mark.promise("foreign-bytes")
@given(st.text(min_size=1), st.lists(st.integers(0, 1000), max_size=8))
def test_the_halves_of_a_character_are_joined_over_deltas(whole: str, cuts: list[int]) -> None:
    units = whole.encode("utf-16-le")
    places = [0, *sorted(cut % (len(units) // 2 + 1) * 2 for cut in cuts), len(units)]
    halves = [
        units[begin:end].decode("utf-16-le", "surrogatepass") for begin, end in pairwise(places)
    ]
    assert said(*map(text, halves), finish("length")) == whole
    thoughts = [delta(reasoning=half) for half in halves]
    events = read(*thoughts, text("a"), finish())
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == whole


@pytest.mark.promise("foreign-bytes")
def test_bytes_that_are_no_utf_8_become_replacement_characters() -> None:
    first, second = (
        b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % part
        for part in (b"caf\xc3", b"\xa9 ok")
    )
    assert said(first, second, finish()) == "caf\ufffd\ufffd ok"
    assert said(b'data: {"\xff":"\xfe","choices":[{"text":"a\x00\x07"}]}\n\n', DONE) == "a\x00\x07"


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        ({"code": "server_error", "message": "x"}, True),
        ({"code": 502, "message": "x"}, True),
        ({"code": "429", "message": "x"}, True),
        ({"code": None}, True),
        ("overloaded", True),
        ({"code": 401, "message": "x"}, False),
        ({"code": "context_length_exceeded", "message": "x"}, False),
        ({"type": "invalid_request_error", "message": "x"}, False),
        ({"code": 429, "type": "insufficient_quota"}, False),
    ],
)
def test_an_error_in_the_answer_fails_it_after_what_was_said(error: Any, retryable: bool) -> None:
    chunk = line({"delta": {"content": ""}, "finish_reason": "error"}, error=error)
    *said, failure = outcome(text("a") + chunk + text("b") + DONE)
    assert said == [TextDelta("a")]
    assert failure[1] is retryable


def test_the_finish_reason_error_alone_fails_the_answer() -> None:
    with pytest.raises(ModelError) as caught:
        read(text("a"), finish("error"), DONE)
    assert caught.value.retryable


def test_after_the_finish_reason_nothing_fails_any_more() -> None:
    assert read(text("a"), finish(), line(error={"code": 500}))[-1] == Finish(
        reason="stop", metadata={}
    )
    assert read(text("a"), finish(), b"data: {broken\n")[-1] == Finish(reason="stop", metadata={})


def test_an_answer_without_a_word_is_a_failure_that_may_pass() -> None:
    with pytest.raises(ModelError, match="empty answer") as caught:
        read(text(""), finish(), DONE)
    assert caught.value.retryable


def test_an_answer_of_nothing_but_reasoning_is_one() -> None:
    assert len(read(line({"delta": {"reasoning": "hm"}}), finish("length"))) == 2


def test_a_continuation_may_end_without_a_word() -> None:
    parser = ChatParser()
    assert parser.feed(finish() + DONE) == []
    assert parser.finish(may_be_empty=True).reason == "stop"


@pytest.mark.promise("foreign-bytes", "bounded")
@pytest.mark.parametrize("split", [1, 7, 10_000])
def test_a_line_without_end_is_bounded(split: int) -> None:
    data = text("a") + b"data: " + b"x" * 600
    pieces = [data[begin : begin + split] for begin in range(0, len(data), split)]
    *said, failure = outcome(*pieces, max_line=500)
    assert said == [TextDelta("a")]
    assert "too large" in failure[0]


def test_a_line_as_long_as_allowed_is_read() -> None:
    data = text("y" * 400)
    assert read(data, finish(), max_line=len(data) - 2)[0] == TextDelta("y" * 400)


def test_no_events_at_all_are_a_failure_that_may_pass() -> None:
    assert outcome(b": hello\n\n")[0][1] is True
