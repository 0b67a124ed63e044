"""The fold: the rules that are easy to get wrong, and what a worker asks of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.fold import Fold

START = chunks.start("m1", {"model": "demo"})
STEP, RESET = chunks.START_STEP, chunks.RESET_STEP


def delta(kind: str, part: str, text: str) -> bytes:
    return chunks.delta_prefix(kind, part) + chunks.encode(text) + b"}"


def begun(kind: str, part: str, *pieces: str) -> list[bytes]:
    """A part without its end."""
    return [chunks.part_start(kind, part), *(delta(kind, part, piece) for piece in pieces)]


def text_part(part: str, *pieces: str) -> list[bytes]:
    """A whole text part."""
    return [*begun("text", part, *pieces), chunks.part_end("text", part)]


def notice(**data: Any) -> bytes:
    return chunks.notice(data)


def record(**chunk: Any) -> bytes:
    return chunks.encode(chunk)


def told(*records: bytes) -> list[str]:
    """What a log holds: the texts of its parts, and the types of those without text."""
    return [str(part.get("text", part["type"])) for part in Fold.of([START, *records]).parts]


def test_a_plain_answer_becomes_a_message_with_one_step_and_one_text() -> None:
    end = chunks.finish("stop", {"usage": {"outputTokens": 2}})
    fold = Fold.of([START, STEP, *text_part("0", "Hel", "lo"), chunks.FINISH_STEP, end])
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
    assert (fold.job, fold.before_mark, fold.since_mark) == (None, [], [])


@pytest.mark.promise("one-clean-answer")
def test_a_reset_removes_the_current_step_and_closes_what_was_open() -> None:
    lost = [*text_part("1", "lost"), record(type="data-x", id="d", data=1), *begun("text", "2")]
    kept = [STEP, *text_part("0", "kept"), STEP]
    assert told(*kept, *lost, RESET) == ["step-start", "kept", "step-start"]
    assert told(*lost, RESET) == []
    fold = Fold.of([START, *kept])
    assert fold.step_parts == []
    fold.feed(lost)
    assert [part.get("text") for part in fold.step_parts] == ["lost", None, ""]
    fold.feed([RESET])
    assert (fold.open_parts, fold.closing()) == ([], [])


def test_the_end_of_a_step_leaves_parts_open() -> None:
    records = [START, STEP, *begun("text", "0"), chunks.FINISH_STEP]
    assert Fold.of(records).open_parts == [("text", "0")]


def test_closing_ends_what_is_open_oldest_first_and_nothing_else() -> None:
    records = [*begun("reasoning", "r"), *text_part("done", "x"), *begun("text", "0", "partial")]
    fold = Fold.of([START, *records])
    assert fold.closing() == [chunks.part_end("reasoning", "r"), chunks.part_end("text", "0")]
    fold.feed(fold.closing())
    assert fold.open_parts == []
    assert {part["state"] for part in fold.parts} == {"done"}


def test_one_id_may_be_that_of_several_parts() -> None:
    assert told(*text_part("0", "one"), *text_part("0", "two")) == ["one", "two"]
    both = [*begun("reasoning", "0"), *begun("text", "0"), delta("reasoning", "0", "why")]
    assert told(*both, delta("text", "0", "what")) == ["why", "what"]


@pytest.mark.promise("history-is-fold")
def test_metadata_merges_deeply_and_arrays_and_nulls_replace() -> None:
    fold = Fold.of(
        [
            chunks.start("m1", {"a": {"x": 1, "y": [1, 2]}, "b": {"c": 1}}),
            chunks.metadata({"a": {"y": [3]}, "b": None}),
            record(type="message-metadata", messageMetadata=None),
            chunks.metadata({"constructor": 1, "prototype": 2}),  # JavaScript guards these names
        ]
    )
    assert fold.metadata == {"a": {"x": 1, "y": [3]}, "b": None}


@pytest.mark.promise("history-is-fold")
def test_data_of_a_known_id_replaces_the_data_in_place() -> None:
    whole = {"type": "data-x", "data": None, "transient": False, "unknown": [None]}
    fold = Fold.of(
        [
            START,
            record(type="data-weather", id="v", data="of another id"),
            record(type="data-weather", id="w", data={"c": 20}),
            record(type="data-weather", data="without an id"),
            record(type="data-weather", id="w", data=None),
            record(type="data-other", id="w", data=1),
            record(type="data-x", id="d", data=1, transient=True),
            record(**whole),
        ]
    )
    assert fold.parts == [
        {"type": "data-weather", "id": "v", "data": "of another id"},
        {"type": "data-weather", "id": "w", "data": None},
        {"type": "data-weather", "data": "without an id"},
        {"type": "data-other", "id": "w", "data": 1},
        whole,
    ]


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


@pytest.mark.promise("history-is-fold")
def test_nothing_counts_after_an_error() -> None:
    fold = Fold.of([START, *begun("text", "0"), chunks.error("No.")])
    before = fold.body()
    fold.feed([delta("text", "0", "late"), chunks.metadata({"late": True}), chunks.error("Again.")])
    assert (fold.body(), fold.failed) == (before, "No.")


@pytest.mark.promise("history-is-fold")
@pytest.mark.parametrize(
    ("stray", "named"),
    [
        (delta("text", "0", "x"), "text-delta for the part '0'"),
        (chunks.part_end("text", "0"), "text-end for the part '0'"),
        (delta("reasoning", "1", "x"), "reasoning-delta for the part '1'"),
    ],
)
def test_a_chunk_for_a_part_that_is_not_open_fails_the_log_there(stray: bytes, named: str) -> None:
    records = [*text_part("0", "said"), stray, *text_part("1", "late")]
    assert told(*records) == ["said"]
    assert Fold.of([START, *records]).failed == f"{named}, which is not open"


def test_unknown_chunks_change_nothing() -> None:
    fold = Fold.of([START, record(type="from-the-future", id="0"), chunks.ABORT])
    assert fold.message() == Fold.of([START]).message()


JOB = notice(event="job", job="j1", mark="")


def test_notices_record_the_attempts_and_are_not_in_the_message() -> None:
    retry = notice(event="retry", rung="restart", usage={"outputTokens": 3}, cost=0.5)
    takeover = notice(event="takeover", attempt=3, rung="restart", repeated=7)
    fold = Fold.of([START, STEP, retry, takeover, notice(event="rung", rung="prefill")])
    assert fold.ladder == [
        {"rung": "first", "usage": {"outputTokens": 3}, "cost": 0.5},
        {"rung": "restart"},
        {"rung": "restart", "repeated": 7},
        {"rung": "prefill"},
    ]
    assert (fold.retries, fold.parts) == (1, [{"type": "step-start"}])
    fold.feed([notice(event="retry", reason="The model was away.")])
    assert fold.retries == 2


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
    fold = Fold.of([START, STEP, JOB, odd])
    assert (fold.job, fold.ladder, fold.retries) == (("j1", ""), [{"rung": "first"}], 0)


def test_what_was_received_of_a_job_begins_at_its_mark() -> None:
    one = [delta("text", "1", "one"), chunks.part_end("text", "1")]
    before = [*text_part("0", "before "), *begun("text", "1", "half ")]
    more = [*text_part("2", " two"), *begun("reasoning", "3", "hm")]
    fold = Fold.of([START, STEP, *before, JOB, *one, *more])
    assert fold.since_mark == [("text", "one two"), ("reasoning", "hm")]
    fold.feed([notice(event="job", job="j1", mark="7")])
    assert (fold.job, fold.since_mark) == (("j1", "7"), [])
    fold.feed([delta("reasoning", "3", "!")])
    assert fold.since_mark == [("reasoning", "!")]


@pytest.mark.parametrize(
    ("event", "job"),
    [
        (RESET, None),
        (notice(event="retry", rung="restart"), None),
        (notice(event="rung", rung="restart"), None),
        (notice(event="retry", rung="reattach"), ("j1", "")),
        (notice(event="takeover", rung="reattach"), ("j1", "")),
        (notice(event="judged", rung="restart"), ("j1", "")),
    ],
)
def test_a_lower_rung_ends_the_job_and_a_reattach_does_not(
    event: bytes, job: tuple[str, str] | None
) -> None:
    assert Fold.of([START, STEP, JOB, event]).job == job
    assert Fold.of([START, STEP, JOB, event, notice(event="job", job="j1")]).job == ("j1", "")


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


def test_what_came_of_a_continuation_is_noted_at_the_attempt_that_it_was() -> None:
    judged = {"rung": "restart", "asked": "continue", "repeated": 3, "held": 2, "dropped": 1}
    end = notice(event="judged", **judged, usage={"outputTokens": 1}, other=5)
    fold = Fold.of([START, STEP, notice(event="retry", rung="continue"), end])
    usage = {"usage": {"outputTokens": 1}}
    assert fold.ladder == [{"rung": "first"}, {"rung": "continue", **judged, **usage}]


def test_the_text_of_a_job_before_its_mark_starts_where_the_job_started() -> None:
    its = [delta("text", "0", " its"), *begun("reasoning", "1")]
    fold = Fold.of([START, STEP, *begun("text", "0", "mine"), JOB, *its])
    assert fold.before_mark == []
    fold.feed([delta("reasoning", "1", "why"), notice(event="job", job="j1", mark="5")])
    assert (fold.before_mark, fold.since_mark) == ([("text", " its"), ("reasoning", "why")], [])
    fold.feed([delta("reasoning", "1", "?")])
    assert fold.since_mark == [("reasoning", "?")]
    fold.feed([notice(event="job", job="another", mark="x")])
    assert (fold.before_mark, fold.job) == ([], ("another", "x"))
