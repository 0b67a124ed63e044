"""The fold: the rules that are easy to get wrong, and what a worker asks of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.fold import Fold

START = chunks.start("m1", {"model": "demo"})


def delta(kind: str, part: str, text: str) -> bytes:
    return chunks.delta_prefix(kind, part) + chunks.encode(text) + b"}"


def text_part(part: str, *pieces: str) -> list[bytes]:
    """A whole text part."""
    deltas = [delta("text", part, piece) for piece in pieces]
    return [chunks.part_start("text", part), *deltas, chunks.part_end("text", part)]


def notice(**data: Any) -> bytes:
    return chunks.notice(data)


def record(**chunk: Any) -> bytes:
    return chunks.encode(chunk)


def test_a_plain_answer_becomes_a_message_with_one_step_and_one_text() -> None:
    fold = Fold.of(
        [
            START,
            chunks.START_STEP,
            *text_part("0", "Hel", "lo"),
            chunks.FINISH_STEP,
            chunks.finish("stop", {"usage": {"outputTokens": 2}}),
        ]
    )
    assert json.loads(fold.body()) == {
        "id": "m1",
        "role": "assistant",
        "metadata": {"model": "demo", "usage": {"outputTokens": 2}},
        "parts": [{"type": "step-start"}, {"type": "text", "text": "Hello", "state": "done"}],
    }
    assert fold.failed is None


def test_no_records_are_a_message_without_parts_and_no_job() -> None:
    fold = Fold()
    assert fold.message() == {"id": "", "role": "assistant", "parts": []}
    assert (fold.job, fold.before, fold.heard) == (None, [], [])


@pytest.mark.promise("one-clean-answer")
def test_a_reset_removes_the_current_step_and_keeps_its_beginning() -> None:
    fold = Fold.of([START, chunks.START_STEP, *text_part("0", "kept"), chunks.START_STEP])
    before = list(fold.parts)
    fold.feed([*text_part("1", "lost"), record(type="data-x", id="d", data=1), chunks.RESET_STEP])
    assert fold.parts == before
    assert fold.parts[-1] == {"type": "step-start"}


def test_a_reset_closes_what_was_open() -> None:
    fold = Fold.of([START, chunks.START_STEP, chunks.part_start("text", "0"), chunks.RESET_STEP])
    assert fold.open_parts == []
    assert fold.closing() == []


@pytest.mark.promise("one-clean-answer")
def test_a_reset_without_any_step_removes_everything() -> None:
    assert Fold.of([START, *text_part("0", "lost"), chunks.RESET_STEP]).parts == []


def test_the_step_parts_are_what_a_reset_would_remove() -> None:
    fold = Fold.of([START, chunks.START_STEP, *text_part("0", "a"), chunks.START_STEP])
    assert fold.step_parts == []
    fold.feed(text_part("1", "b"))
    assert [part["text"] for part in fold.step_parts] == ["b"]


def test_the_end_of_a_step_leaves_parts_open() -> None:
    records = [START, chunks.START_STEP, chunks.part_start("text", "0"), chunks.FINISH_STEP]
    assert Fold.of(records).open_parts == [("text", "0")]


def test_closing_ends_what_is_open_oldest_first_and_nothing_else() -> None:
    fold = Fold.of(
        [
            START,
            chunks.part_start("reasoning", "r"),
            *text_part("done", "x"),
            chunks.part_start("text", "0"),
            delta("text", "0", "partial"),
        ]
    )
    assert fold.closing() == [chunks.part_end("reasoning", "r"), chunks.part_end("text", "0")]
    fold.feed(fold.closing())
    assert fold.open_parts == []
    assert {part["state"] for part in fold.parts} == {"done"}


def test_a_part_of_the_same_id_may_begin_after_the_end_of_the_first() -> None:
    fold = Fold.of([START, *text_part("0", "one"), *text_part("0", "two")])
    assert [part["text"] for part in fold.parts] == ["one", "two"]


def test_text_and_reasoning_of_one_id_are_different_parts() -> None:
    fold = Fold.of(
        [
            START,
            chunks.part_start("reasoning", "0"),
            chunks.part_start("text", "0"),
            delta("reasoning", "0", "why"),
            delta("text", "0", "what"),
        ]
    )
    assert [part["text"] for part in fold.parts] == ["why", "what"]


@pytest.mark.promise("history-is-fold")
def test_metadata_merges_deeply_and_arrays_and_nulls_replace() -> None:
    fold = Fold.of(
        [
            chunks.start("m1", {"a": {"x": 1, "y": [1, 2]}, "b": {"c": 1}}),
            chunks.metadata({"a": {"y": [3]}, "b": None}),
            record(type="message-metadata", messageMetadata=None),
        ]
    )
    assert fold.metadata == {"a": {"x": 1, "y": [3]}, "b": None}


def test_names_that_javascript_guards_are_not_merged() -> None:
    fold = Fold.of([START, chunks.metadata({"constructor": 1, "prototype": 2, "ok": 3})])
    assert fold.metadata == {"model": "demo", "ok": 3}


@pytest.mark.promise("history-is-fold")
def test_data_of_a_known_id_replaces_the_data_in_place() -> None:
    fold = Fold.of(
        [
            START,
            record(type="data-weather", id="v", data="of another id"),
            record(type="data-weather", id="w", data={"c": 20}),
            record(type="data-weather", data="without an id"),
            record(type="data-weather", id="w", data=None),
            record(type="data-other", id="w", data=1),
        ]
    )
    assert fold.parts == [
        {"type": "data-weather", "id": "v", "data": "of another id"},
        {"type": "data-weather", "id": "w", "data": None},
        {"type": "data-weather", "data": "without an id"},
        {"type": "data-other", "id": "w", "data": 1},
    ]


def test_transient_data_leaves_no_trace() -> None:
    fold = Fold.of([START, record(type="data-x", id="d", data=1, transient=True)])
    assert fold.parts == []


def test_a_data_part_keeps_all_fields_of_its_chunk() -> None:
    chunk = {"type": "data-x", "data": None, "transient": False, "unknown": [None]}
    assert Fold.of([START, record(**chunk)]).parts == [chunk]


@pytest.mark.parametrize(
    "known",
    [
        {"type": "file", "url": "data:,", "mediaType": "text/plain"},
        {"type": "reasoning-file", "url": "data:,", "mediaType": "text/plain"},
        {"type": "source-url", "sourceId": "s", "url": "https://example.org", "title": "T"},
        {"type": "source-document", "sourceId": "s", "mediaType": "a/b", "title": "T"},
        {"type": "custom", "kind": "openai.thing", "providerMetadata": {"openai": {}}},
        {"type": "steering-message", "id": "u1", "parts": [{"type": "text", "text": "wait"}]},
    ],
    ids=lambda known: known["type"],
)
def test_other_whole_parts_keep_only_the_fields_that_they_know(known: dict[str, Any]) -> None:
    assert Fold.of([START, record(**known, unknown=1)]).parts == [known]


def test_the_retries_of_a_run_are_counted() -> None:
    retry = chunks.notice({"event": "retry", "reason": "The model was away."})
    others = [chunks.notice({"event": "takeover"}), record(type="data-run", data=1, transient=True)]
    assert Fold.of([START, retry, *others, retry]).retries == 2


@pytest.mark.promise("history-is-fold")
def test_nothing_counts_after_an_error() -> None:
    fold = Fold.of([START, chunks.part_start("text", "0"), chunks.error("No.")])
    before = fold.body()
    fold.feed([delta("text", "0", "late"), chunks.metadata({"late": True}), chunks.error("Again.")])
    assert fold.body() == before
    assert fold.failed == "No."


@pytest.mark.promise("history-is-fold")
@pytest.mark.parametrize(
    "stray", [delta("text", "0", "x"), chunks.part_end("text", "0"), delta("reasoning", "1", "x")]
)
def test_a_chunk_for_a_part_that_is_not_open_fails_the_log_there(stray: bytes) -> None:
    fold = Fold.of([START, *text_part("0", "said"), stray, *text_part("1", "late")])
    assert fold.failed is not None
    assert [part["text"] for part in fold.parts] == ["said"]


def test_unknown_chunks_change_nothing() -> None:
    fold = Fold.of([START, record(type="from-the-future", id="0"), chunks.ABORT])
    assert fold.message() == Fold.of([START]).message()


JOB = notice(event="job", job="j1", mark="")


def test_notices_record_the_attempts_and_are_not_in_the_message() -> None:
    fold = Fold.of(
        [
            START,
            chunks.START_STEP,
            notice(event="retry", rung="restart", usage={"outputTokens": 3}, cost=0.5),
            notice(event="takeover", attempt=3, rung="restart", repeated=7),
            notice(event="rung", rung="prefill"),
        ]
    )
    assert fold.ladder == [
        {"rung": "first", "usage": {"outputTokens": 3}, "cost": 0.5},
        {"rung": "restart"},
        {"rung": "restart", "repeated": 7},
        {"rung": "prefill"},
    ]
    assert (fold.retries, fold.parts) == (1, [{"type": "step-start"}])


@pytest.mark.parametrize(
    "odd",
    [
        record(type="data-run", data=7, transient=True),
        record(type="data-run", data=None, transient=True),
        notice(),
        notice(event=["retry"], rung=3, job="j2"),
        notice(event="job", job=None),
        notice(event="takeover", attempt=2),  # as earlier versions wrote it
    ],
)
def test_notices_of_another_make_change_nothing(odd: bytes) -> None:
    fold = Fold.of([START, chunks.START_STEP, JOB, odd])
    assert (fold.job, fold.ladder, fold.retries) == (("j1", ""), [{"rung": "first"}], 0)


def test_what_was_received_of_a_job_begins_at_its_mark() -> None:
    fold = Fold.of(
        [
            START,
            chunks.START_STEP,
            *text_part("0", "before "),
            chunks.part_start("text", "1"),
            delta("text", "1", "half "),
            JOB,
            delta("text", "1", "one"),
            chunks.part_end("text", "1"),
            *text_part("2", " two"),
            chunks.part_start("reasoning", "3"),
            delta("reasoning", "3", "hm"),
        ]
    )
    assert fold.heard == [("text", "one two"), ("reasoning", "hm")]
    fold.feed([notice(event="job", job="j1", mark="7")])
    assert (fold.job, fold.heard) == (("j1", "7"), [])
    fold.feed([delta("reasoning", "3", "!")])
    assert fold.heard == [("reasoning", "!")]


@pytest.mark.parametrize(
    "end",
    [chunks.RESET_STEP, *(notice(event=event, rung="restart") for event in ("retry", "rung"))],
)
def test_a_lower_rung_ends_the_job(end: bytes) -> None:
    assert Fold.of([START, chunks.START_STEP, JOB, end]).job is None
    assert Fold.of([START, chunks.START_STEP, JOB, end, JOB]).job == ("j1", "")


@pytest.mark.parametrize("event", ["retry", "takeover"])
def test_listening_again_does_not_end_the_job(event: str) -> None:
    fold = Fold.of([START, chunks.START_STEP, JOB, notice(event=event, rung="reattach")])
    assert fold.job == ("j1", "")


@pytest.mark.promise("history-is-fold")
def test_a_part_takes_its_provider_metadata_over_and_at_its_end_citations() -> None:
    about = {"id": "r", "providerMetadata": {"p": 1}}
    fold = Fold.of([START, record(type="reasoning-start", **about)])
    part = {"type": "reasoning", "text": "", "state": "streaming", **about}
    assert fold.parts == [part]
    fold.feed([record(type="reasoning-delta", id="r", delta="hm", providerMetadata={"p": 2})])
    assert fold.parts == [part | {"text": "hm", "providerMetadata": {"p": 2}}]
    end = {"providerMetadata": {"p": 3}, "citations": [{"url": "https://example.org"}]}
    fold.feed([record(type="reasoning-end", id="r", **end)])
    assert fold.parts == [part | {"text": "hm", "state": "done", **end}]


def test_a_stray_chunk_is_named_with_its_part() -> None:
    fold = Fold.of([START, delta("text", "7", "x")])
    assert fold.failed == "text-delta for the part '7', which is not open"


def test_what_came_of_a_continuation_is_noted_at_the_attempt_that_it_was() -> None:
    judged = {"rung": "restart", "asked": "continue", "repeated": 3, "held": 2, "dropped": 1}
    fold = Fold.of(
        [
            START,
            chunks.START_STEP,
            notice(event="retry", rung="continue"),
            notice(event="judged", **judged, usage={"outputTokens": 1}, other=5),
        ]
    )
    usage = {"usage": {"outputTokens": 1}}
    assert fold.ladder == [{"rung": "first"}, {"rung": "continue", **judged, **usage}]
    assert Fold.of([START, JOB, notice(event="judged", rung="restart")]).job == ("j1", "")


def test_what_a_job_said_before_its_mark_begins_where_the_job_began() -> None:
    records = [START, chunks.START_STEP, chunks.part_start("text", "0"), delta("text", "0", "mine")]
    fold = Fold.of([*records, JOB, delta("text", "0", " its"), chunks.part_start("reasoning", "1")])
    assert fold.before == []
    fold.feed([delta("reasoning", "1", "why"), notice(event="job", job="j1", mark="5")])
    assert (fold.before, fold.heard) == ([("text", " its"), ("reasoning", "why")], [])
    fold.feed([delta("reasoning", "1", "?")])
    assert fold.heard == [("reasoning", "?")]
    fold.feed([notice(event="job", job="another", mark="x")])
    assert (fold.before, fold.job) == ([], ("another", "x"))


def test_a_job_whose_notice_has_no_mark_is_read_from_its_beginning() -> None:
    assert Fold.of([START, notice(event="job", job="j1")]).job == ("j1", "")
