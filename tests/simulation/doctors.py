"""The ways in which evidence can be doctored: each breaks one promise, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_llm_streams import chunks
from durable_llm_streams.model import Cursor, Status

from .evidence import ATTEMPTS, FIRST, SECOND, World, closing, word
from .people import Asked, Frame, Reading, Stopped
from .saying import SECRET

#: Changes the evidence before it is looked at.
Doctor = Callable[[World], None]


def read(world: World, change: Callable[[list[Frame]], object], **more: Any) -> None:
    """One more reader of the finished run, whose frames are changed."""
    reading = world.finished.reading("the victim")
    change(reading.frames)
    for name, value in more.items():
        setattr(reading, name, value)
    world.more["readings"] = [*world.readings, reading]


def nobody_reads(world: World) -> None:
    world.more["readings"] = []


def tool_output(kind: str, call: str) -> bytes:
    return chunks.encode({"type": f"tool-output-{kind}", "toolCallId": call})


# --- all is well ---------------------------------------------------------------------------------


def as_it_is(world: World) -> None:
    """Nothing is changed."""


def a_refused_write_of_an_old_epoch(world: World) -> None:
    for stands in (False, None):
        world.finished.tried.append(("A1", FIRST, 5, [word("late ")], 7.0, stands))


def the_same_write_once_more_after_a_claim(world: World) -> None:
    world.finished.tried.append(("A1", FIRST, 4, world.finished.first[3:], 7.0, True))


def a_chat_that_was_deleted(world: World) -> None:
    world.more["deleted"] = frozenset({"c9"})
    world.more["asked"] = [Asked("c9", "c9m0", "gone")]
    world.more["stopped"] = [Stopped("c9", "gone", 3)]
    frame = Frame(Cursor("gone", 1, "aaaa"), b"{}")
    world.more["readings"] = [Reading("somebody", "c9", None, [frame])]


def readers_of_what_the_store_forgot(world: World) -> None:
    """They have the log as it was: longer, and with other words."""
    before = [*world.finished.first, word("c0m0.1 "), word("c0m0.2 ")]
    frames = [Frame(Cursor(world.finished.id, seq, "aaaa"), r) for seq, r in enumerate(before, 1)]
    world.more["readings"] = [*world.readings, Reading("somebody", "c0", None, frames)]
    world.more["forgotten"] = [{world.finished.id: before}]


def results_of_two_tool_calls(world: World) -> None:
    world.finished.second[3:3] = [tool_output("available", "1"), tool_output("error", "2")]


def faults_that_nobody_has_counted(world: World) -> None:
    world.more["faults"] = None


#: What changes nothing that was promised.
HARMLESS: list[Doctor] = [
    as_it_is,
    a_refused_write_of_an_old_epoch,
    the_same_write_once_more_after_a_claim,
    a_chat_that_was_deleted,
    readers_of_what_the_store_forgot,
    results_of_two_tool_calls,
    faults_that_nobody_has_counted,
]


# --- prefix --------------------------------------------------------------------------------------


def other_text(frames: list[Frame]) -> None:
    frames[7] = frames[7]._replace(data=word("something else "))


def wrong_token(frames: list[Frame]) -> None:
    frames[7] = frames[7]._replace(cursor=frames[7].cursor._replace(token="aaaa"))


def swapped(frames: list[Frame]) -> None:
    frames[8], frames[9] = frames[9], frames[8]


def swapped_texts(frames: list[Frame]) -> None:
    (one, a), (other, b) = frames[8:10]
    frames[8:10] = [Frame(one, b), Frame(other, a)]


def joined_with_a_word_missing(frames: list[Frame]) -> None:
    frames[7:10] = [Frame(frames[9].cursor, word("c0m0.0 c0m0.2 "))]


def joined_over_a_border(frames: list[Frame]) -> None:
    frames[6:8] = [frames[7]]


def half_of_what_was_forgotten(world: World) -> None:
    """The beginning as it was before the loss, and the end as it is after it."""
    before = [*world.finished.first, word("c0m0.1 "), word("c0m0.2 ")]
    read(world, lambda frames: frames.__setitem__(4, Frame(frames[4].cursor, before[4])))
    world.more["forgotten"] = [{world.finished.id: before}]


PREFIX: list[Doctor] = [
    lambda w: read(w, lambda frames: frames.pop(7)),
    lambda w: read(w, lambda frames: frames.pop(0)),
    lambda w: read(w, lambda frames: frames.insert(7, frames[7])),
    lambda w: read(w, lambda frames: frames.pop()),  # done, and without the last record
    lambda w: read(w, other_text),
    lambda w: read(w, wrong_token),
    lambda w: read(w, swapped),
    lambda w: read(w, swapped_texts),
    lambda w: read(w, joined_with_a_word_missing),
    lambda w: read(w, joined_over_a_border),
    half_of_what_was_forgotten,
]


# --- seen is durable -----------------------------------------------------------------------------


def a_record_too_many(world: World) -> None:
    life = world.finished
    beyond = Frame(life.cursor(len(life.records) + 1), word("never committed "))
    read(world, lambda frames: frames.append(beyond))


# --- fencing -------------------------------------------------------------------------------------


def an_old_epoch_appends(world: World) -> None:
    world.finished.tried.append(("A1", FIRST, 5, [word("late ")], 7.0, True))


def an_old_epoch_appends_behind_its_last_record(world: World) -> None:
    late = [world.finished.first[3], word("late ")]
    world.finished.tried.append(("A1", FIRST, 4, late, 7.0, True))


def nobody_wrote_a_record(world: World) -> None:
    world.finished.missing.add(8)


def another_one_wrote_a_record(world: World) -> None:
    life = world.finished
    life.missing.add(8)
    life.tried.append(("A1", FIRST, 8, [life.records[7]], 2.0, False))


def another_text_was_written(world: World) -> None:
    life = world.finished
    life.missing.add(8)
    life.tried.append(("B1", SECOND, 8, [word("something else ")], 6.0, True))


# --- one end -------------------------------------------------------------------------------------


def ending(*records: bytes) -> Doctor:
    """The finished run ends otherwise."""

    def doctor(world: World) -> None:
        nobody_reads(world)
        world.finished.end = closing(*records)

    return doctor


FINISH = chunks.finish("stop", {})


def it_begins_twice(world: World) -> None:
    world.finished.second[0] = world.finished.first[0]
    nobody_reads(world)


def another_status(world: World) -> None:
    world.finished.status = Status.STOPPED


# --- stop ----------------------------------------------------------------------------------------


def stopped_as(run_id: str, length: int | None) -> Doctor:
    def doctor(world: World) -> None:
        world.more["stopped"] = [Stopped("c1", run_id, length)]

    return doctor


# --- idempotent send -----------------------------------------------------------------------------


def one_message_two_answers(world: World) -> None:
    asked = list(world.evidence().asked)
    world.more["asked"] = [*asked, Asked("c0", "c0m0", world.stopped.id)]


def one_key_two_runs(world: World) -> None:
    world.stopped.key = world.finished.key


# --- history is the fold -------------------------------------------------------------------------


def message(change: Callable[[bytes], bytes]) -> Doctor:
    def doctor(world: World) -> None:
        world.finished.message = change(world.finished.truth.message)

    return doctor


def a_part_is_left_open(world: World) -> None:
    nobody_reads(world)
    world.finished.end.pop(0)


# --- honest failure ------------------------------------------------------------------------------


def accepted_and_gone(world: World) -> None:
    world.more["asked"] = [Asked("c0", "c0m9", "gone")]


def says(*words: str) -> Doctor:
    """The finished run's second attempt says something else."""

    def doctor(world: World) -> None:
        nobody_reads(world)
        world.finished.second[3:] = [word(text) for text in words]

    return doctor


def it_never_ends(world: World) -> None:
    nobody_reads(world)
    world.finished.status, world.finished.end = Status.RUNNING, []


def it_says_what_nobody_asked(world: World) -> None:
    world.more["readings"] = world.more["stopped"] = []
    world.stopped.first[3] = word("c0m0.0 ")


def more_attempts_than_allowed(world: World) -> None:
    nobody_reads(world)
    world.finished.end[-1] = chunks.finish("stop", {"attempts": ATTEMPTS + 1})


def asked_too_often(world: World) -> None:
    world.more["requests"] = {"c2m0": ATTEMPTS + 1}


def asked_without_a_reason(world: World) -> None:
    world.more["requests"] = {"c1m0": 2}


def it_thinks_what_nobody_asked(world: World) -> None:
    nobody_reads(world)
    thought = chunks.delta_prefix("reasoning", "1") + b'"hm"}'
    world.finished.second[2:2] = [
        chunks.part_start("reasoning", "1"),
        thought,
        chunks.part_end("reasoning", "1"),
    ]


def it_gives_up_early(world: World) -> None:
    world.more["refused"] = frozenset()


# --- takeover ------------------------------------------------------------------------------------


def nothing_cost_a_worker_its_runs(world: World) -> None:
    world.more["faults"] = {"cut-answer": ATTEMPTS}


# --- tools, secrets, leaks -----------------------------------------------------------------------


def one_call_two_results(second: str) -> Doctor:
    def doctor(world: World) -> None:
        nobody_reads(world)
        results = [tool_output("available", "1"), tool_output(second, "1")]
        world.finished.second[3:3] = results

    return doctor


def a_secret_in_the_error(world: World) -> None:
    nobody_reads(world)
    world.failed.end[-1] = chunks.error(f"401: {SECRET}")


def a_secret_in_a_notice(world: World) -> None:
    nobody_reads(world)
    world.finished.second[0] = chunks.notice({"event": "retry", "reason": SECRET})


def leaks(world: World) -> None:
    world.more["leaks"] = ("the task Task-1",)


#: What breaks which promise.
DOCTORED: dict[str, list[Doctor]] = {
    "prefix": PREFIX,
    "seen-is-durable": [a_record_too_many],
    "fencing": [
        an_old_epoch_appends,
        an_old_epoch_appends_behind_its_last_record,
        nobody_wrote_a_record,
        another_one_wrote_a_record,
        another_text_was_written,
    ],
    "one-end": [
        ending(),
        ending(FINISH, FINISH),
        ending(chunks.ABORT, FINISH),
        ending(FINISH, chunks.notice({"event": "retry"})),
        ending(chunks.ABORT),
        it_begins_twice,
        another_status,
    ],
    "stop": [
        stopped_as("runc1", 5),  # it has grown since
        stopped_as("runc1", 7),
        stopped_as("runc0", None),  # it went on and finished
        stopped_as("gone", None),
    ],
    "idempotent-send": [one_message_two_answers, one_key_two_runs],
    "history-is-fold": [
        message(lambda _: b""),
        message(lambda body: body.replace(b"c0m0.1", b"c0m0.7")),
        message(lambda body: body.replace(b'"model":"sim"', b'"model":"other"')),
        message(lambda body: body.replace(b'"done"', b'"streaming"')),
        a_part_is_left_open,
    ],
    "honest-failure": [
        accepted_and_gone,
        it_never_ends,
        says("c0m0.0 ", "c0m0.1 "),
        says("c0m0.0 ", "c0m0.0 ", "c0m0.1 ", "c0m0.2 "),
        says("c0m0.0 ", "c0m0.2 ", "c0m0.1 "),
        says("c0m0.0 ", "c0m0.1 ", "c0m0.2 ", "c0m0.3 "),
        it_says_what_nobody_asked,
        more_attempts_than_allowed,
        asked_too_often,
        asked_without_a_reason,
        it_thinks_what_nobody_asked,
        it_gives_up_early,
    ],
    "takeover": [nothing_cost_a_worker_its_runs],
    "tool-once": [one_call_two_results("available"), one_call_two_results("error")],
    "no-secrets": [a_secret_in_the_error, a_secret_in_a_notice],
    "no-leak": [leaks],
}
