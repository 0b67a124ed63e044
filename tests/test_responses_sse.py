"""The parser of response streams: bytes in, events out."""

from __future__ import annotations

import json
from typing import Any

import pytest

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

pytestmark = pytest.mark.promise("foreign-bytes")

JOB = Job("resp_1", "5")
Said = list[Event | str]


def line(kind: str, number: int | None = None, **fields: Any) -> bytes:
    event = {"type": kind, **({} if number is None else {"sequence_number": number}), **fields}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def text(number: int, delta: str = "x") -> bytes:
    return line("response.output_text.delta", number, delta=delta)


def odd_text(number: int, delta: bytes) -> bytes:
    return text(number, "HERE").replace(b"HERE", delta)


def response(kind: str, number: int, **fields: Any) -> bytes:
    return line(f"response.{kind}", number, response={"id": "resp_1", "model": "m", **fields})


BEGIN = response("created", 0, background=True)
END = response("completed", 99)


def read(*pieces: bytes, **options: Any) -> list[Event]:
    """All events but signs of life, and the finish; raises what the parser raises."""
    parser = ResponsesParser(**options)
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.end()
    shown = [event for event in events if not isinstance(event, Alive)]
    return [*shown, parser.finish(may_be_empty="job" in options)]


def said(*pieces: bytes, **options: Any) -> Said:
    """The events without the finish; neighbouring texts are one string."""
    found: Said = []
    for event in read(*pieces, **options)[:-1]:
        if not isinstance(event, TextDelta):
            found.append(event)
        elif found and isinstance(found[-1], str):
            found[-1] += event.text
        else:
            found.append(event.text)
    return found


def fail(*pieces: bytes, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read(*pieces, **options)
    return caught.value


CITED = {"type": "url_citation", "url": "https://example.org/a", "title": "A"}
CITATION = Citation(url="https://example.org/a", title="A")
CITING = {
    "type": "message",
    "content": [
        {
            "type": "output_text",
            "text": "One",
            "annotations": [CITED, {"type": "file_citation", "file_id": "f"}],
        }
    ],
}
ANNOTATED = line("response.output_text.annotation.added", 2, annotation=CITED)
CITED_END = response("completed", 9, output=[CITING])
REFUSAL = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
PICTURE = {"type": "image_generation_call", "result": "AAAA", "output_format": "webp"}
PICTURE_END = response("completed", 9, output=[PICTURE])
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


#: What each stream says behind its first event.
SAYS: dict[str, tuple[list[bytes], Said]] = {
    "an event that comes twice": (
        [text(1, "a"), text(1, "a"), text(2, "b"), text(2, "b"), END],
        ["ab"],
    ),
    "half a character": ([odd_text(1, rb"a\ud83d"), text(2, "b"), END], ["a\ufffdb"]),
    "two halves of a character": (
        [odd_text(1, rb"a\ud83d"), odd_text(2, rb"\ude00 b"), END],
        ["a\U0001f600 b"],
    ),
    "bytes that are no character": (
        [odd_text(1, b"caf\xc3"), odd_text(2, b"\xa9 b"), END],
        ["caf\ufffd\ufffd b"],
    ),
    "another text than the deltas": ([text(1, "Uno "), DONE_ONE, ITEM_DONE, WHOLE], ["Uno "]),
    "everything in the last event": ([WHOLE], [ReasoningDelta("Hm.\n\nWell."), "One two."]),
    "a refusal without deltas": (
        [line("response.refusal.done", 3, refusal="No."), END],
        ["No."],
    ),
    "a refusal in an item": ([line("response.output_item.done", 4, item=REFUSAL), END], ["No."]),
    "citations that come again in the last event": (
        [text(1, "O"), ANNOTATED, ANNOTATED, text(3, "ne"), CITED_END],
        ["One", CITATION],
    ),
    "citations of an item": (
        [text(3, "One"), line("response.output_item.done", 4, item=CITING), CITED_END],
        ["One", CITATION],
    ),
    "a picture": (
        [line("response.output_item.done", 2, item=PICTURE), PICTURE_END],
        [File(media_type="image/webp", url="data:image/webp;base64,AAAA")],
    ),
    "a job that is not kept": (
        [response("created", 0, background=False), text(1), END],
        ["x"],
    ),
    **{
        f"the payload {noise.decode()!r}": ([b"data: " + noise + b"\n\n", text(1), END], ["x"])
        for noise in (b"ping", b"null", b"7", b"[1]", b"", b'{"type": "response')
    },
    **{
        f"the id {job!r}": (
            [line("response.created", 0, response={"id": job}), text(1), END],
            ["x"],
        )
        for job in ("", "a/b", "..", "resp 1", "x" * 201, 7, None)
    },
}


@pytest.mark.parametrize("name", SAYS)
def test_what_a_stream_says(name: str) -> None:
    pieces, expected = SAYS[name]
    assert said(*pieces) == expected


@pytest.mark.parametrize(
    "pieces",
    [
        [ITEM_DONE, END],
        [ITEM_DONE, WHOLE],
        [DONE_ONE, PART_ONE, DONE_TWO, ITEM_DONE, WHOLE],
        [DONE_ONE, DONE_TWO, END],
        [PART_ONE, DONE_TWO, END],
        [text(1, "On"), WHOLE],
        [text(1, "On"), DONE_ONE, PART_ONE, WHOLE],
        [text(1, "One "), DONE_ONE, PART_ONE, text(12, "t"), DONE_TWO, ITEM_DONE, WHOLE],
        [text(1, "One "), text(2, "tw"), ITEM_DONE, WHOLE],
        [text(1, "One "), text(2, "two."), ITEM_DONE, WHOLE],
        [text(1, "One "), DONE_ONE, ITEM_DONE, END],
    ],
)
def test_a_text_without_all_of_its_deltas_is_sent_once(pieces: list[bytes]) -> None:
    for last in (pieces[-1], WHOLE):
        assert said(BEGIN, *pieces[:-1], last)[-1] == "One two."


@pytest.mark.parametrize(
    ("pieces", "told", "expected"),
    [
        ([text(number, str(number)) for number in range(3, 9)], None, ["678"]),
        ([text(6, "e "), WHOLE], [("text", "On")], ["e two."]),
        ([text(6, "e "), WHOLE], None, ["e "]),  # it is not known where it stands
        ([], None, []),
    ],
    ids=["what is behind the mark", "the missing end", "no end of an unknown text", "nothing"],
)
def test_a_reader_that_returns_gets(
    pieces: list[bytes], told: list[tuple[str, str]] | None, expected: Said
) -> None:
    assert said(*pieces, END, job=JOB, emitted=told) == expected


def test_a_mark_follows_every_so_many_events_and_names_its_place() -> None:
    lines = [text(number, f"{number} ") for number in range(1, 3 * MARK_EVERY)]
    parser = ResponsesParser()
    events = parser.feed(BEGIN)
    for begin in range(0, len(lines), 7):
        events += parser.feed(b"".join(lines[begin : begin + 7]))
    marks = [event for event in events if isinstance(event, Job)]
    assert len(marks) == 3
    for mark in marks[1:]:
        assert events[events.index(mark) - 1] == TextDelta(f"{mark.mark} ")
    again = ResponsesParser(Job("resp_1", "49"))
    events = again.feed(b"".join(text(number) for number in range(50, 51 + MARK_EVERY)))
    assert events[-1] == Job("resp_1", str(50 + MARK_EVERY))


@pytest.mark.parametrize(
    ("event", "retryable", "meaning"),
    [
        (response("failed", 9, error={"code": "server_error", "message": "s"}), True, "broken"),
        (response("failed", 9, error={"code": "rate_limit_exceeded"}), True, "rate-now"),
        (response("failed", 9, error=None), True, "broken"),
        (response("incomplete", 9, incomplete_details={"reason": "steered"}), True, "job-ended"),
        (response("incomplete", 9), True, "job-ended"),
        (END.replace(b"completed", b"cancelled"), True, "job-ended"),
    ],
)
def test_a_job_that_ended_without_an_answer_is_over(
    event: bytes, retryable: bool, meaning: str
) -> None:
    error = fail(BEGIN, text(1), event)
    assert (error.job_over, error.retryable, error.meaning) == (True, retryable, meaning)


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize(
    "event",
    [
        line("error", 9, code="server_error", message="secret"),
        line("error", error={"type": "server_error", "message": "secret"}),
        b'data: {"error":{"code":"server_error","message":"secret"}}\n\n',
    ],
)
def test_an_error_of_the_stream_is_the_jobs_only_for_a_reader_that_returns(
    event: bytes, again: bool
) -> None:
    error = fail(text(6), event, **({"job": JOB} if again else {}))
    assert (error.retryable, error.job_over) == (True, again)
    assert "secret" not in str(error)
    assert "secret" in error.detail


@pytest.mark.parametrize(
    ("pieces", "meaning", "over"),
    [
        ([BEGIN, text(1), b"data: [DONE]\n\n", text(2)], "cut", False),
        ([BEGIN, END], "empty", True),
        ([BEGIN, line("response.reasoning_text.delta", 1, delta="Hm."), END], "empty", True),
        ([b'{"error":{"code":"server_error"}}'], "broken", False),
        ([b'[{"error":{"code":429}}]'], "rate-now", False),
        ([b'{"detail":"x"}'], "broken", False),
    ],
)
def test_a_stream_without_an_answer_fails(pieces: list[bytes], meaning: str, over: bool) -> None:
    error = fail(*pieces)
    assert (error.meaning, error.job_over) == (meaning, over)


def test_what_was_used_is_reported_with_the_end() -> None:
    used = {"usage": {"output_tokens": 3}}
    details = {"incomplete_details": {"reason": "content_filter"}}
    finish = read(BEGIN, text(1), response("incomplete", 9, **details, **used))[-1]
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.metadata["usage"]) == ("content-filter", {"outputTokens": 3})
    failed = response("failed", 9, error={"code": "server_error"}, **used)
    assert fail(BEGIN, text(1), failed).metadata["usage"] == {"outputTokens": 3}


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
    assert said(head + json.dumps(body, indent=indent).encode()) == ["One two."]


def test_a_json_response_that_is_still_being_made_is_a_job_to_wait_for() -> None:
    parser = ResponsesParser()
    body = {"object": "response", "id": "resp_1", "status": "queued", "background": True}
    assert parser.feed(json.dumps(body).encode() + b"\n") == [Job("resp_1", "")]
    assert (parser.is_unfinished, parser.ended) == (True, False)
