"""The parser of response streams: bytes in, events out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.streams.responses_sse import MARK_EVERY, ResponsesParser
from durable_llm_streams.source import (
    Alive,
    Citation,
    Event,
    File,
    Finish,
    Job,
    ReasoningDelta,
    TextDelta,
)
from tests.providers.body import whole
from tests.providers.case import CORPUS, load

pytestmark = pytest.mark.promise("foreign-bytes")

GOLDEN = whole(load(CORPUS / "job/as-openai-sends-it.toml").answer[0], {})


def read(
    *pieces: bytes,
    job: Job | None = None,
    told: Sequence[tuple[str, str]] | None = None,
) -> list[Event]:
    """All events but signs of life; raises what the parser raises."""
    parser = ResponsesParser(job, told=told)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    events += parser.end()
    shown = [event for event in events if not isinstance(event, Alive)]
    return [*shown, parser.finish(may_be_empty=job is not None)]


def fail(*pieces: bytes, job: Job | None = None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read(*pieces, job=job)
    return caught.value


def line(kind: str, number: int | None = None, **fields: Any) -> bytes:
    event = {"type": kind, **({} if number is None else {"sequence_number": number}), **fields}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def text(number: int, delta: str = "x") -> bytes:
    return line("response.output_text.delta", number, delta=delta)


def response(kind: str, number: int, **fields: Any) -> bytes:
    return line(f"response.{kind}", number, response={"id": "resp_1", "model": "m", **fields})


BEGIN = response("created", 0, background=True)
END = response("completed", 99)


@given(st.integers(0, len(GOLDEN) - 40))
def test_a_stream_that_ends_anywhere_before_its_end_was_cut(at: int) -> None:
    if b"response.completed" in GOLDEN[:at] and b'"total_tokens":12}}}' in GOLDEN[:at]:
        return
    error = fail(GOLDEN[:at])
    assert error.retryable
    assert not error.job_over


def test_whoever_listens_again_is_told_nothing_of_what_lies_before_the_mark() -> None:
    job = Job("resp_1", "5")
    again = [text(number, str(number)) for number in range(3, 9)]
    assert read(*again, END, job=job)[:-1] == [TextDelta("6"), TextDelta("7"), TextDelta("8")]


def test_an_event_that_comes_twice_is_read_once() -> None:
    events = read(BEGIN, text(1, "a"), text(1, "a"), text(2, "b"), text(2, "b"), END)
    assert events[1:-1] == [TextDelta("a"), TextDelta("b")]


def test_a_mark_comes_after_every_so_many_events_and_stands_where_it_says() -> None:
    lines = [text(number, f"{number} ") for number in range(1, 3 * MARK_EVERY)]
    parser = ResponsesParser()
    events = parser.feed(BEGIN)
    for begin in range(0, len(lines), 7):
        events += parser.feed(b"".join(lines[begin : begin + 7]))
    marks = [event for event in events if isinstance(event, Job)]
    assert len(marks) == 3
    for mark in marks[1:]:
        last = events[events.index(mark) - 1]
        assert last == TextDelta(f"{mark.mark} ")


def test_a_listener_also_marks() -> None:
    lines = [text(number) for number in range(50, 51 + MARK_EVERY)]
    parser = ResponsesParser(Job("resp_1", "49"))
    assert parser.feed(b"".join(lines))[-1] == Job("resp_1", str(50 + MARK_EVERY))


@pytest.mark.parametrize("job", ["", "a/b", "..", "resp 1", "x" * 201, 7, None])
def test_an_id_that_cannot_stand_in_an_address_is_no_job(job: Any) -> None:
    begin = line("response.created", 0, response={"id": job})
    assert read(begin, text(1), END)[0] == TextDelta("x")


def test_an_answer_that_the_server_does_not_keep_is_no_job() -> None:
    assert read(response("created", 0, background=False), text(1), END)[0] == TextDelta("x")


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content-filter"),
    ],
)
def test_an_answer_that_was_cut_short_for_a_reason_that_is_known_is_finished(
    details: Any, reason: str
) -> None:
    end = response("incomplete", 9, incomplete_details=details, usage={"output_tokens": 3})
    finish = read(BEGIN, text(1), end)[-1]
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.metadata["usage"]) == (reason, {"outputTokens": 3})


@pytest.mark.parametrize(
    ("event", "retryable", "says"),
    [
        (response("failed", 9, error={"code": "server_error", "message": "s"}), True, "problem"),
        (response("failed", 9, error={"code": "rate_limit_exceeded"}), True, "busy"),
        (response("failed", 9, error={"code": "invalid_prompt"}), False, "rules"),
        (response("failed", 9, error=None), True, "problem"),
        (response("incomplete", 9, incomplete_details={"reason": "steered"}), True, "ended"),
        (response("incomplete", 9), True, "ended"),
        (response("cancelled", 9), True, "ended"),
    ],
)
def test_a_job_that_ended_without_an_answer_is_over(
    event: bytes, retryable: bool, says: str
) -> None:
    error = fail(BEGIN, text(1), event)
    assert (error.job_over, error.retryable) == (True, retryable)
    assert says in str(error)


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize(
    "event",
    [
        line("error", 9, code="server_error", message="secret"),
        line("error", error={"type": "server_error", "message": "secret"}),
        b'data: {"error":{"code":"server_error","message":"secret"}}\n\n',
    ],
)
def test_an_error_of_the_stream_is_the_jobs_only_for_whoever_listens_again(
    event: bytes, again: bool
) -> None:
    error = fail(text(5), event, job=Job("resp_1", "4") if again else None)
    assert (error.retryable, error.job_over) == (True, again)
    assert "secret" not in str(error)
    assert "secret" in error.detail


def test_what_a_failed_job_used_is_told() -> None:
    end = response("failed", 9, error={"code": "server_error"}, usage={"output_tokens": 3})
    assert fail(BEGIN, text(1), end).metadata["usage"] == {"outputTokens": 3}


def odd_text(number: int, delta: bytes) -> bytes:
    event = b'{"type":"response.output_text.delta","sequence_number":%d,"delta":"%s"}'
    return b"data: " + event % (number, delta) + b"\n\n"


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        (rb"a\ud83d", b"b", "a\ufffdb"),
        (rb"a\ud83d", rb"\ude00 b", "a\U0001f600 b"),
        (b"caf\xc3", b"\xa9 b", "caf\ufffd\ufffd b"),
        (b"caf\xc3", b" b", "caf\ufffd b"),
    ],
)
def test_a_character_that_was_cut_is_joined_or_costs_one_mark(
    first: bytes, second: bytes, whole: str
) -> None:
    assert text_of(read(BEGIN, odd_text(1, first), odd_text(2, second), END)) == whole


def test_a_done_without_an_end_is_a_cut() -> None:
    assert not fail(BEGIN, text(1), b"data: [DONE]\n\n", text(2)).job_over


def test_a_finished_job_without_a_word_is_over_unless_it_was_said_before() -> None:
    assert fail(BEGIN, END).job_over
    thought = line("response.reasoning_text.delta", 1, delta="Hm.")
    assert fail(BEGIN, thought, END).meaning == "empty"
    assert len(read(END, job=Job("resp_1", "5"))) == 1


ITEM = {
    "type": "message",
    "content": [
        {"type": "output_text", "text": "One ", "annotations": []},
        {"type": "output_text", "text": "two."},
    ],
}
THOUGHT = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "Well."}],
}
WHOLE = response("completed", 99, status="completed", output=[THOUGHT, ITEM])
DONE_ONE = line("response.output_text.done", 10, text="One ")
PART_ONE = line("response.content_part.done", 11, part=ITEM["content"][0])
DONE_TWO = line("response.output_text.done", 20, text="two.")
ITEM_DONE = line("response.output_item.done", 30, item=ITEM)


@pytest.mark.parametrize(
    "pieces",
    [
        (WHOLE,),
        (ITEM_DONE, END),
        (ITEM_DONE, WHOLE),
        (DONE_ONE, PART_ONE, DONE_TWO, ITEM_DONE, WHOLE),
        (DONE_ONE, DONE_TWO, END),
        (PART_ONE, DONE_TWO, END),
        (text(1, "On"), WHOLE),
        (text(1, "On"), DONE_ONE, PART_ONE, WHOLE),
        (text(1, "One "), DONE_ONE, PART_ONE, text(12, "t"), DONE_TWO, ITEM_DONE, WHOLE),
        (text(1, "One "), text(2, "tw"), ITEM_DONE, WHOLE),
        (text(1, "One "), text(2, "two."), ITEM_DONE, WHOLE),
        (text(1, "One "), DONE_ONE, ITEM_DONE, END),
    ],
)
def test_a_text_without_all_of_its_deltas_is_said_once(pieces: tuple[bytes, ...]) -> None:
    assert text_of(read(BEGIN, *pieces)) == "One two."
    assert text_of(read(BEGIN, *pieces[:-1], WHOLE)) == "One two."


def test_a_text_that_is_not_the_one_of_the_deltas_is_passed_over() -> None:
    assert text_of(read(BEGIN, text(1, "Uno "), DONE_ONE, ITEM_DONE, WHOLE)) == "Uno "


def test_a_response_without_deltas_has_its_reasoning_too() -> None:
    assert read(BEGIN, WHOLE)[1:-1] == [
        ReasoningDelta("Hm.\n\nWell."),
        TextDelta("One "),
        TextDelta("two."),
    ]


def test_a_refusal_without_deltas_is_text() -> None:
    part = {"type": "refusal", "refusal": "No."}
    item = {"type": "message", "content": [part]}
    done = line("response.refusal.done", 3, refusal="No.")
    for last in (done, line("response.output_item.done", 4, item=item)):
        assert text_of(read(BEGIN, last, END)) == "No."


def test_whoever_listens_again_gets_the_missing_end_of_a_text() -> None:
    job = Job("resp_1", "5")
    assert text_of(read(text(6, "e "), WHOLE, job=job, told=[("text", "On")])) == "e two."
    assert text_of(read(text(6, "e "), WHOLE, job=job)) == "e "  # it is not known where it stands


@pytest.mark.parametrize("late", [True, False])
def test_citations_come_once_and_behind_their_text(late: bool) -> None:
    cited = {"type": "url_citation", "url": "https://example.org/a", "title": "A"}
    other = {"type": "file_citation", "file_id": "f"}
    part = {"type": "output_text", "text": "One", "annotations": [cited, other]}
    item = {"type": "message", "content": [part]}
    added = line("response.output_text.annotation.added", 2, annotation=cited)
    events = [text(1, "O"), added, added, text(3, "ne")]
    if not late:
        events.append(line("response.output_item.done", 4, item=item))
    assert read(BEGIN, *events, response("completed", 9, output=[item]))[1:-1] == [
        TextDelta("O"),
        TextDelta("ne"),
        Citation(url="https://example.org/a", title="A"),
    ]


def test_a_picture_is_a_file_and_one_that_is_too_large_a_sentence() -> None:
    small = {"type": "image_generation_call", "result": "AAAA", "output_format": "webp"}
    large = {"type": "image_generation_call", "result": "A" * 300_000}
    alive = line("response.image_generation_call.partial_image", 1, partial_image_b64="AA")
    done = [line("response.output_item.done", 2 + n, item=i) for n, i in enumerate((small, large))]
    events = read(BEGIN, alive, *done, response("completed", 9, output=[small, large]))
    assert events[1] == File(media_type="image/webp", url="data:image/webp;base64,AAAA")
    assert len(events) == 4
    assert "too large" in text_of(events)


@pytest.mark.parametrize("noise", [b"ping", b"null", b"7", b"[1]", b"", b'{"type": "response'])
def test_a_payload_that_is_no_event_is_passed_over(noise: bytes) -> None:
    assert text_of(read(BEGIN, b"data: " + noise + b"\n\n", text(1, "x"), END)) == "x"


def test_every_read_without_output_is_one_sign_of_life() -> None:
    parser = ResponsesParser()
    assert parser.feed(b": keep-alive\n\n: more\n\n") == [Alive("comment")]
    parser.feed(BEGIN)
    assert parser.feed(line("response.web_search_call.searching", 1)) == [Alive("chunk")]
    assert parser.feed(text(2, "")) == [Alive("chunk")]
    assert parser.feed(text(2, "read before")) == [Alive("chunk")]
    assert parser.feed(b'data: {"type":"respo') == [Alive("chunk")]


@pytest.mark.parametrize(("head", "indent"), [(b"", None), (b"", 2), (b"data: ", None)])
def test_one_json_response_instead_of_a_stream_is_the_answer(
    head: bytes, indent: int | None
) -> None:
    body = {"object": "response", "id": "resp_1", "status": "completed", "output": [ITEM]}
    events = read(head + json.dumps(body, indent=indent).encode())
    assert (text_of(events), isinstance(events[-1], Finish)) == ("One two.", True)


def test_a_json_response_that_is_still_being_made_is_a_job_to_wait_for() -> None:
    parser = ResponsesParser()
    body = {"object": "response", "id": "resp_1", "status": "queued", "background": True}
    assert parser.feed(json.dumps(body).encode() + b"\n") == [Job("resp_1", "")]
    assert (parser.is_unfinished, parser.ended) == (True, False)


@pytest.mark.parametrize(
    "body", [b'{"error":{"code":"server_error"}}', b'[{"error":{"code":429}}]', b'{"detail":"x"}']
)
def test_an_error_instead_of_a_stream_is_the_failure(body: bytes) -> None:
    assert not fail(body).job_over
