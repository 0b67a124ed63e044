"""An oracle that finds nothing is none: each promise is broken here, and it must be named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Cursor, Epoch, Run, Span, Status, token_at
from tests.app import Frame
from tests.crash.oracle import Case, Stop, Told, judge, late_records
from tests.crash.races import judge_race
from tests.redis_faults.oracle import Log

RUN = "run1"
OLD, NEW = Epoch(1, "aa"), Epoch(2, "bb")

TAKEOVER = chunks.notice({"event": "takeover", "attempt": 2})
RETRY = chunks.notice({"event": "retry", "attempt": 2})


def says(*words: str) -> list[bytes]:
    """A delta for each word, such as `1@redis-0.7`."""
    return [chunks.delta_prefix("text", "p1") + chunks.encode(f"{word} ") + b"}" for word in words]


OPENING = [chunks.start("a1", {"run": RUN}), chunks.START_STEP]
FINISH = [chunks.part_end("text", "p1"), chunks.FINISH_STEP, chunks.finish("stop", {})]
STOPPED = [chunks.part_end("text", "p1"), chunks.metadata({"status": "stopped"}), chunks.ABORT]

BEGUN = [*OPENING, chunks.part_start("text", "p1"), *says("1@a.1", "2@a.1")]
ENDED = [TAKEOVER, *says("3@b.2", "4@b.2"), *FINISH]
SPANS = (Span(1, OLD), Span(len(BEGUN) + 1, NEW))


def frames_of(log: Log, after: int = 0) -> list[Frame]:
    """The events of a log for a reader who was there all the time."""
    return [
        Frame(str(Cursor(RUN, number, token_at(log.spans, number))), record.decode())
        for number, record in enumerate(log.records, 1)
        if number > after
    ]


def case(
    records: Sequence[bytes] = (*BEGUN, *ENDED),
    spans: tuple[Span, ...] = SPANS,
    status: Status = Status.FINISHED,
    takeovers: int = 1,
) -> Case:
    """A run that was taken over once, and of which everybody was told all."""
    log = Log(list(records), spans)
    return Case(
        run=Run(
            id=RUN,
            chat_id="c",
            prompt_id="m",
            message_id="a1",
            model="goes-on-4-20",
            status=status,
            created_at=1,
            epoch=spans[-1].epoch,
            takeovers=takeovers,
            spans=spans,
        ),
        log=log,
        stored=frozenset({RUN}),
        history=[{"role": "user"}, Fold.of(log.records).message()],
        attempts=8,
        readers=[
            Told("the sender", 0, frames_of(log), runs=frozenset({RUN})),
            Told("a reader", 3, frames_of(log, 3), runs=frozenset({RUN})),
        ],
    )


def stopped_case() -> Case:
    """A run that was stopped."""
    made = case([*BEGUN, *STOPPED], status=Status.STOPPED, takeovers=0)
    made.stops = [Stop("redis-1", len(made.log.records), ended=True)]
    return made


def promises(made: Case) -> set[str]:
    """The promises that the oracle finds broken."""
    return {violation.promise for violation in judge(made)}


def test_what_is_in_order_is_found_in_order() -> None:
    assert judge(case()) == []
    assert judge(stopped_case()) == []
    anew = [*BEGUN, TAKEOVER, chunks.RESET_STEP, chunks.part_start("text", "p1")]
    assert judge(case([*anew, *says("1@b.2", "2@b.2", "3@b.2", "4@b.2"), *FINISH])) == []


# --- readers -----------------------------------------------------------------------------------

Doctor = Callable[[list[Frame]], object]

DOCTORS: dict[str, Doctor] = {
    "a gap": lambda frames: frames.pop(4),
    "a repetition": lambda frames: frames.insert(4, frames[4]),
    "another order": lambda frames: frames.insert(4, frames.pop(5)),
    "the end is missing": lambda frames: frames.pop(),
    "nothing": lambda frames: frames.clear(),
    "other text": lambda frames: frames.__setitem__(
        4, Frame(frames[4].id, frames[4].data.replace("2@", "9@"))
    ),
    "another epoch": lambda frames: frames.__setitem__(
        4, Frame(str(Cursor(RUN, 5, NEW.token)), frames[4].data)
    ),
    "more than the log": lambda frames: frames.append(
        Frame(str(Cursor(RUN, len(frames) + 1, NEW.token)), frames[-1].data)
    ),
}


@pytest.mark.promise("prefix")
@pytest.mark.parametrize("doctor", DOCTORS.values(), ids=DOCTORS)
def test_a_reader_who_was_told_something_else_is_found(doctor: Doctor) -> None:
    made = case()
    frames = frames_of(made.log)
    doctor(frames)
    made.readers[0].frames = frames
    assert promises(made) == {"prefix"}


@pytest.mark.promise("prefix", "seen-is-durable")
def test_a_reader_who_was_left_waiting_or_told_that_all_is_lost_is_found() -> None:
    waiting, lost, broken = case(), case(), case()
    waiting.readers[1].complete = False
    assert promises(waiting) == {"prefix"}
    lost.readers[1].lost = True
    assert promises(lost) == {"seen-is-durable"}
    forgotten = case()
    forgotten.readers[1].delay = 15.0
    assert promises(forgotten) == {"prefix"}
    broken.readers[1].error = "it came after the end"
    assert promises(broken) == {"prefix"}


# --- sends, ends, stops ------------------------------------------------------------------------


@pytest.mark.promise("idempotent-send")
def test_a_second_run_of_one_message_is_found() -> None:
    told, kept = case(), case()
    told.readers[1].runs = frozenset({"run2"})
    assert promises(told) == {"idempotent-send"}
    kept.stored = frozenset({RUN, "run2"})
    assert promises(kept) == {"idempotent-send"}


@pytest.mark.promise("one-end")
@pytest.mark.parametrize(
    "records",
    [
        [*BEGUN, *ENDED, *says("5@b.2")],
        [*BEGUN, *ENDED, chunks.ABORT],
        [*BEGUN, *ENDED[:-1]],
        [*BEGUN, *ENDED[:-1], chunks.error("?")],
        [*BEGUN, TAKEOVER, *OPENING, *ENDED[1:]],
    ],
)
def test_an_end_that_is_none_is_found(records: list[bytes]) -> None:
    assert "one-end" in promises(case(records))


@pytest.mark.promise("one-end", "honest-failure")
def test_a_run_that_has_not_ended_is_found() -> None:
    assert "honest-failure" in promises(case(status=Status.RUNNING))
    active = case()
    active.active = {"id": RUN}
    assert promises(active) == {"one-end"}


@pytest.mark.promise("history-is-fold")
def test_a_history_that_is_not_the_fold_is_found() -> None:
    other, none = case(), case()
    other.history = [other.history[0], {**other.history[1], "parts": []}]
    assert promises(other) == {"history-is-fold"}
    none.history = none.history[:1]
    assert promises(none) == {"history-is-fold"}


@pytest.mark.promise("stop")
def test_a_log_that_goes_on_after_a_stop_is_found() -> None:
    grown, early = stopped_case(), stopped_case()
    grown.stops.append(Stop("redis-2", len(BEGUN), ended=True))
    assert promises(grown) == {"stop"}
    early.stops[0] = early.stops[0]._replace(ended=False)
    assert promises(early) == {"stop"}


# --- text and epochs ---------------------------------------------------------------------------


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize(
    "ending",
    [
        [TAKEOVER, *says("2@b.2", "3@b.2", "4@b.2"), *FINISH],  # a word twice
        [TAKEOVER, *says("4@b.2"), *FINISH],  # one is missing
        [TAKEOVER, *says("3@b.2"), *FINISH],  # the last one is
        [TAKEOVER, *says("3@b.2", "4@b.2", "5@b.2"), *FINISH],  # one too many
        [TAKEOVER, *says("1@b.2", "2@b.2", "3@b.2", "4@b.2"), *FINISH],  # two attempts
    ],
)
def test_an_answer_that_is_not_one_clean_one_is_found(ending: list[bytes]) -> None:
    assert promises(case([*BEGUN, *ending])) == {"one-clean-answer"}


@pytest.mark.promise("fencing")
def test_what_a_zombie_wrote_is_found_by_its_words_whatever_the_spans_say() -> None:
    made = case([*BEGUN, TAKEOVER, *says("3@b.2", "4@a.1"), *FINISH])
    assert promises(made) == {"fencing"}
    assert [record.number for record in late_records(made.log)] == [8]


@pytest.mark.promise("fencing")
def test_what_a_zombie_wrote_before_the_new_writers_first_record_is_found() -> None:
    records = [*BEGUN, *FINISH[:1], *ENDED]
    assert "fencing" in promises(case(records))
    stop_behind_text = [*BEGUN, *says("3@c.3"), *STOPPED]
    assert promises(case(stop_behind_text, status=Status.STOPPED)) == {"fencing"}


@pytest.mark.promise("fencing")
def test_spans_that_do_not_ascend_are_found() -> None:
    for spans in (
        (Span(1, NEW), Span(len(BEGUN) + 1, OLD)),
        (Span(1, OLD), Span(len(BEGUN) + 1, OLD._replace(token="cc"))),
    ):
        assert "fencing" in promises(case(spans=spans))


# --- failures ----------------------------------------------------------------------------------


def failed(sentence: str, takeovers: int) -> Case:
    closing: list[Any] = [chunks.part_end("text", "p1"), RETRY, chunks.error(sentence)]
    return case([*BEGUN, TAKEOVER, *closing], status=Status.FAILED, takeovers=takeovers)


@pytest.mark.promise("honest-failure")
def test_a_failure_before_the_budget_is_used_up_is_found() -> None:
    sentence = "The answer could not be completed in 8 attempts. It was cut off."
    assert judge(failed(sentence, 6)) == []
    assert promises(failed(sentence, 5)) == {"honest-failure"}
    assert promises(failed("Something went wrong on the server. Try again.", 7)) == {
        "honest-failure"
    }
    assert promises(case(takeovers=8)) == {"honest-failure"}


# --- races -------------------------------------------------------------------------------------


@pytest.mark.promise("stop", "one-end", "fencing")
def test_every_way_to_lose_a_race_is_found() -> None:
    log = Log([*OPENING, chunks.part_start("text", "p1"), *says("1", "2"), *STOPPED], SPANS)
    length = len(log.records)
    message = Fold.of(log.records).message()
    stopped = Status.STOPPED

    def found(log: Log = log, **how: Any) -> set[str]:
        of_race = {"status": stopped, "length": length, "read": None, "message": message, **how}
        return {violation.promise for violation in judge_race(log, **of_race)}

    assert found(read=list(log.records)) == set()
    assert found(length=length - 1) == {"stop"}
    assert found(status=Status.FINISHED) == {"one-end"}
    assert found(read=log.records[1:]) == {"prefix"}
    assert found(message={}) == {"history-is-fold"}
    late = Log([*log.records[:-1], *says("3"), log.records[-1]], SPANS)
    assert found(late, length=length + 1, message=Fold.of(late.records).message()) == {"fencing"}
    assert "one-end" in found(Log([*log.records, *says("3")], SPANS))
    assert "fencing" in found(Log(log.records, SPANS[:1]))
    assert "prefix" in found(Log([*log.records[:3], *log.records[4:]], SPANS))
