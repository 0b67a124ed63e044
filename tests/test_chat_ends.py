"""When a chat answer is at its end, and what it is worth then."""

from __future__ import annotations

from typing import Any

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.source import TextDelta
from tests.chat_streams import DONE, delta, fail, finish, joined, line, outcome, text, usage

ERROR = {"code": 429, "message": "Slow down"}


def both(content: str, reason: Any = "stop", **fields: Any) -> bytes:
    """Text and a finish reason in one chunk."""
    return line({"delta": {"content": content, **fields}, "finish_reason": reason})


def broken(*pieces: bytes) -> ModelError | str:
    """What a connection is worth that is reset after these bytes: a failure, or the reason."""
    parser = ChatParser()
    for piece in pieces:
        parser.feed(piece)
    if not parser.done:
        parser.cut(OSError("reset"))
    try:
        return parser.finish().reason
    except ModelError as error:
        return error


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([text("a"), line({"delta": {}, "finishReason": "length"})], ["a", "length"]),
        ([text("a"), line({"delta": {}, "done_reason": "length"})], ["a", "length"]),
        ([text("a"), line({"delta": {}, "stop_reason": "length"})], ["a", "length"]),
        ([text("a"), finish("length"), text("b"), finish()], ["ab", "stop"]),
        ([text("a"), finish(), text("\n")], ["a\n", "stop"]),
        ([both("a", "timeout"), text("b"), finish()], ["ab", "stop"]),
        ([text("a"), line({"delta": {}, "finish_reason": "stop"}, error=ERROR)], ["a", "stop"]),
        ([text("a"), finish(), line(error=ERROR)], ["a", "stop"]),
        ([text("a"), finish("eos")], ["a", "stop"]),
        ([text("a"), finish("refusal")], ["a", "content-filter"]),
        ([text("a"), finish("tool_use")], ["a", "tool-calls"]),
    ],
    ids=[
        *("finishReason", "done_reason", "stop_reason", "a reason that text follows is none"),
        *("white space behind a reason", "a break that text follows is none"),
        *("an error beside a reason", "an error behind a reason", "eos", "refusal", "tool_use"),
    ],
)
def test_an_answer_is_whole_with_its_reason(chunks: list[bytes], expected: list[str]) -> None:
    assert joined(*chunks) == [TextDelta(expected[0]), expected[1]]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("reason", [None, "", "null", "None", 0, 7, True, [], ["stop"], {"a": 1}])
def test_only_a_word_is_a_finish_reason(reason: Any) -> None:
    assert fail(text("a"), finish(reason)).meaning == "cut"
    assert joined(text("a"), both("b", reason), finish()) == [TextDelta("ab"), "stop"]


@pytest.mark.promise("honest-failure")
def test_a_reason_that_text_follows_was_none() -> None:
    assert fail(both("a"), text("b")).meaning == "cut"
    assert fail(text("a"), finish(), text("b")).meaning == "cut"


def test_the_text_is_complete_until_more_text_comes() -> None:
    for chunks in (
        [(text("a"), False), (both("b"), False), (finish(), True), (text("c"), False),
         (finish(), False), (usage(1), False), (DONE, True)],
        [(both("a"), False), (usage(1), True)],
    ):  # fmt: skip
        parser = ChatParser()
        for chunk, is_complete in chunks:
            parser.feed(chunk)
            assert parser.has_reason is is_complete, chunk


def test_a_broken_connection_after_a_firm_reason_changes_nothing() -> None:
    assert broken(text("a"), finish()) == "stop"
    assert broken(both("a"), usage(1)) == "stop"
    assert broken(text("a"), DONE) == "stop"


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("chunks", [[text("a")], [both("a")], [text("a"), finish(), text("b")]])
def test_a_broken_connection_without_a_firm_reason_is_a_cut(chunks: list[bytes]) -> None:
    failure = broken(*chunks)
    assert isinstance(failure, ModelError)
    assert (failure.meaning, failure.retryable) == ("cut", True)


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize(
    "reason",
    [
        *("abort", "aborted", "insufficient_system_resource", "error", "network_error", "ABORT"),
        *("server_error", "timeout", "cancelled", "canceled", "model_overloaded", "Timed out"),
    ],
)
@pytest.mark.parametrize("end", [b"", DONE])
def test_a_reason_that_names_a_break_is_a_cut(reason: str, end: bytes) -> None:
    for chunks in ([text("a"), finish(reason)], [both("a", reason)]):
        *events, failure = outcome(*chunks, usage(1), end)
        assert events == [TextDelta("a")]
        assert "broke off" in failure[0]


def test_an_error_behind_a_break_names_the_failure() -> None:
    assert fail(text("a"), finish("error"), line(error=ERROR)).meaning == "rate-now"


@pytest.mark.promise("honest-failure")
def test_an_error_with_a_finish_reason_fails_an_answer_without_text() -> None:
    last = line({"delta": {"content": ""}, "finish_reason": "stop"}, error=ERROR)
    assert fail(last, DONE).meaning == "rate-now"
    assert fail(delta(reasoning="hm"), last).meaning == "rate-now"


def test_the_error_of_a_choice_fails_the_answer() -> None:
    bad = line({"delta": {"content": ""}, "error": ERROR})
    *events, failure = outcome(text("a"), bad, text("b"), DONE)
    assert events == [TextDelta("a")]
    assert "busy" in failure[0]


def test_usage_is_found_where_providers_put_it() -> None:
    counts = {"completion_tokens": 3}
    for last in (
        line({"delta": {}, "finish_reason": "stop", "usage": counts}),
        line({"delta": {}, "finish_reason": "stop"}, x_groq={"usage": counts}),
        line({"delta": {}, "finish_reason": "stop"}, usage=counts),
    ):
        parser = ChatParser()
        parser.feed(text("a") + last + DONE)
        assert parser.finish().metadata["usage"] == {"outputTokens": 3}
