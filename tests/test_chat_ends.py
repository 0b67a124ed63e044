"""When a chat answer is at its end, and what it is worth then."""

from __future__ import annotations

from typing import Any

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.source import TextDelta
from tests.chat_streams import DONE, delta, fail, finish, joined, line, outcome, said, text, usage


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


@pytest.mark.parametrize("name", ["finishReason", "done_reason", "stop_reason"])
def test_a_finish_reason_may_have_another_name(name: str) -> None:
    assert joined(text("a"), line({"delta": {}, name: "length"})) == [TextDelta("a"), "length"]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("reason", [None, "", "null", "None", 0, 7, True, [], ["stop"], {"a": 1}])
def test_what_is_no_word_is_no_finish_reason(reason: Any) -> None:
    assert fail(text("a"), finish(reason)).meaning == "cut"
    assert joined(text("a"), both("b", reason), finish()) == [TextDelta("ab"), "stop"]


@pytest.mark.promise("honest-failure")
def test_a_reason_that_text_follows_was_none() -> None:
    assert fail(both("a"), text("b")).meaning == "cut"
    assert fail(text("a"), finish(), text("b")).meaning == "cut"
    assert joined(text("a"), finish("length"), text("b"), finish()) == [TextDelta("ab"), "stop"]


def test_the_text_is_complete_until_more_text_comes() -> None:
    parser, waits = ChatParser(), []
    for chunk in (text("a"), both("b"), finish(), text("c"), finish(), DONE):
        parser.feed(chunk)
        waits.append(parser.has_reason)
    assert waits == [False, False, True, False, False, True]


def test_usage_behind_a_reason_makes_the_text_complete() -> None:
    parser = ChatParser()
    parser.feed(both("a"))
    assert not parser.has_reason
    parser.feed(usage(1))
    assert parser.has_reason


def test_white_space_behind_a_reason_changes_nothing() -> None:
    assert joined(text("a"), finish(), text("\n")) == [TextDelta("a\n"), "stop"]


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
    limit = line(error={"code": 429, "message": "Slow down"})
    assert fail(text("a"), finish("error"), limit).meaning == "rate-now"


def test_text_behind_a_break_makes_the_break_none() -> None:
    assert said(both("a", "timeout"), text("b"), finish()) == "ab"


def test_an_error_beside_a_finish_reason_does_not_fail_the_answer() -> None:
    error = {"code": 500, "message": "x"}
    last = line({"delta": {}, "finish_reason": "stop"}, error=error)
    assert joined(text("a"), last) == [TextDelta("a"), "stop"]
    assert joined(text("a"), finish(), line(error=error)) == [TextDelta("a"), "stop"]


@pytest.mark.promise("honest-failure")
def test_an_error_beside_a_finish_reason_fails_an_answer_without_text() -> None:
    error = {"code": 429, "message": "Slow down"}
    last = line({"delta": {"content": ""}, "finish_reason": "stop"}, error=error)
    assert fail(last, DONE).meaning == "rate-now"
    assert fail(delta(reasoning="hm"), last).meaning == "rate-now"


def test_the_error_of_a_choice_fails_the_answer() -> None:
    bad = line({"delta": {"content": ""}, "error": {"code": 429, "message": "Slow down"}})
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
