"""Attempts that fail, and what the next one does."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits

from .faulty_store import FaultyStore
from .one_run import play
from .run_world import World, in_world
from .scripted_source import (
    PROVIDER_TEXT,
    Bug,
    Done,
    Fail,
    Reason,
    Say,
    Scene,
    ScriptedSource,
    Tell,
    Wait,
)
from .virtual_time import elapsed, now, until

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_failure_before_the_first_token_is_tried_again(world: World) -> None:
    ended = await play(world, ScriptedSource([Fail()], [Fail()], [Say("A"), Done()]))
    assert (ended.status, ended.text, ended.metadata["attempts"]) == (Status.FINISHED, "A", 3)
    assert "reset-step" not in ended.kinds
    assert [(notice["event"], notice["attempt"]) for notice in ended.notices] == [
        ("retry", 2),
        ("retry", 3),
    ]
    assert ended.notices[0]["reason"] == "The model is overloaded."
    assert ended.notices[0]["attempts"] == 5


def test_the_wait_between_attempts_doubles_up_to_a_limit_with_equal_jitter() -> None:
    limits, rng = Limits(), random.Random(1)
    for failures, ceiling in ((1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (1000, 30.0)):
        delays = [limits.delay(failures, None, rng) for _ in range(200)]
        assert ceiling / 2 <= min(delays) < ceiling * 0.55
        assert ceiling * 0.95 < max(delays) <= ceiling


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(7.0, 7, 7.1), (0.0, 0.25, 0.6), (120.0, 120, 120.1)]
)
@in_world
async def test_what_the_provider_asks_to_wait_is_waited(
    world: World, asked: float, least: float, most: float
) -> None:
    source = ScriptedSource([Fail(retry_after=asked)], [Say("A"), Done()])
    assert least <= await elapsed(play(world, source)) <= most


@in_world
async def test_a_provider_that_asks_to_wait_too_long_fails_the_run_at_once(world: World) -> None:
    source = ScriptedSource([Fail(retry_after=121, sentence="Try again at noon.")])
    ended = await play(world, source)
    assert (ended.status, len(source.prompts)) == (Status.FAILED, 1)
    assert ended.metadata["error"] == "Try again at noon."


@pytest.mark.promise("one-clean-answer")
@in_world
async def test_after_a_cut_a_model_that_can_goes_on_in_the_same_part(world: World) -> None:
    source = ScriptedSource(
        [Tell(TEXT, upto=20)], [Tell(TEXT, upto=31), Fail()], [Tell(TEXT), Done()], can_prefill=True
    )
    ended = await play(world, source)
    assert [prompt.said for prompt in source.prompts] == ["", TEXT[:20], TEXT[:31]]
    assert ended.text == TEXT
    assert (ended.kinds.count("text-start"), ended.kinds.count("text-end")) == (1, 1)
    assert "reset-step" not in ended.kinds
    assert ended.metadata["attempts"] == 3


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_refusal_to_continue_behind_new_text_is_an_attempt(world: World) -> None:
    source = ScriptedSource(
        [Tell(TEXT, upto=20)],
        [Tell(TEXT, upto=31), Fail(refused_rung=True)],
        [Tell(TEXT), Done()],
        can_prefill=True,
    )
    ended = await play(world, source)
    assert [prompt.said for prompt in source.prompts] == ["", TEXT[:20], TEXT[:31]]
    assert (ended.text, ended.metadata["attempts"]) == (TEXT, 3)


@pytest.mark.promise("one-clean-answer")
@in_world
async def test_a_cut_in_the_middle_of_reasoning_begins_again(world: World) -> None:
    source = ScriptedSource(
        [Reason("Hm"), Say("A"), Reason("but")],
        [Reason("Hm"), Say("B"), Done()],
        can_prefill=True,
    )
    ended = await play(world, source)
    assert [prompt.said for prompt in source.prompts] == ["", ""]
    assert [part.get("text") for part in ended.fold.parts] == [None, "Hm", "B"]


@in_world
async def test_reasoning_that_is_over_does_not_keep_a_model_from_continuing(
    world: World,
) -> None:
    source = ScriptedSource([Reason("Hm"), Say("A")], [Say("B"), Done()], can_prefill=True)
    ended = await play(world, source)
    assert source.prompts[1].said == "A"
    assert [part.get("text") for part in ended.fold.parts] == [None, "Hm", "AB"]


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize(
    ("scene", "text"), [([], ""), ([Say("A")], "A"), ([Reason("A")], ""), ([Say("")], "")]
)
@in_world
async def test_an_answer_without_a_finish_was_cut_and_fails_when_it_always_is(
    world: World, scene: Scene, text: str
) -> None:
    ended = await play(world, ScriptedSource(scene))
    sentence = "The answer could not be completed in 5 attempts. The model's answer was cut off."
    assert ended.log[-1] == {"type": "error", "errorText": sentence}
    assert (ended.status, ended.text, ended.metadata["attempts"]) == (Status.FAILED, text, 5)
    assert [notice["attempt"] for notice in ended.notices] == [2, 3, 4, 5]


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_model_that_never_begins_is_given_up_after_the_first_tokens_limit(
    world: World,
) -> None:
    source = ScriptedSource([Wait()], [Wait(119), Say("A"), Done()])
    seconds = await elapsed(play(world, source))
    assert 120 + 119 <= seconds < 120 + 119 + 1


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_model_that_stops_in_the_middle_is_given_up_after_the_next_tokens_limit(
    world: World,
) -> None:
    source = ScriptedSource(
        [Wait(100), Say("A"), Wait(59), Say("B"), Wait()],
        [Wait(100), Say("C"), Wait(59), Say("D"), Wait()],
        [Say("E"), Wait(59), Done()],
        can_prefill=True,
    )
    begin = now()
    ended = await world.ended(await world.ask(await world.worker(source)))
    assert ended.text == "ABCDE"
    assert ended.notices[0]["reason"] == "The model stopped answering."
    first = 100 + 59 + 60
    second = 100 + 59 + 60  # also when it goes on in a part that is open already
    assert first + second + 59 <= (now() - begin) / 1000 < first + second + 59 + 2


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_model_that_stops_behind_thousands_of_words_is_given_up_too(world: World) -> None:
    words = [f"{number} " for number in range(3000)]
    source = ScriptedSource([Say(*words), Wait()], [Say("A"), Done()])
    assert 60 <= await elapsed(play(world, source)) < 62


@pytest.mark.promise("outage")
@in_world
async def test_a_store_that_is_away_for_minutes_is_not_taken_for_a_model_that_stalls(
    world: World,
) -> None:
    words = [f"{number} " for number in range(3000)]
    faulty = FaultyStore(world.store)
    source = ScriptedSource([Say("A"), Wait(1), Say(*words), Done()])
    worker = await world.worker(source, store=faulty)
    run = await world.ask(worker)
    await world.said(run, "A")
    faulty.down = True
    await asyncio.sleep(300)
    faulty.down = False
    ended = await world.ended(run)
    assert ended.notices == []
    assert ended.text == "A" + "".join(words)


@pytest.mark.promise("honest-failure")
@in_world
async def test_the_whole_run_has_its_limit_too_and_what_was_said_is_kept(world: World) -> None:
    source = ScriptedSource([Say(*"x" * 1000, every=30)])
    begin = now()
    ended = await world.ended(await world.ask(await world.worker(source)))
    assert 3600 <= (now() - begin) / 1000 < 3601
    assert (ended.status, ended.text) == (Status.FAILED, "x" * 119)
    assert "took too long" in ended.log[-1]["errorText"]
    assert source.open == 0


@pytest.mark.promise("honest-failure", "no-secrets")
@in_world
async def test_a_bug_in_the_source_is_told_in_one_sentence_that_tells_nothing_of_it(
    world: World,
) -> None:
    source = ScriptedSource([Say("So far"), Bug(ValueError(PROVIDER_TEXT))])
    ended = await play(world, source)
    assert (ended.status, ended.text, len(source.prompts)) == (Status.FAILED, "So far", 1)
    assert ended.log[-1]["errorText"] == "Something went wrong on the server. Try again."


@pytest.mark.promise("honest-failure", "no-secrets")
@in_world
async def test_a_run_whose_log_cannot_be_read_for_a_reason_of_our_own_fails(world: World) -> None:
    store = FaultyStore(world.store)
    store.fail("read", ValueError(PROVIDER_TEXT))
    worker = await world.worker(ScriptedSource([Say("A"), Done()]), store=store)
    ended = await world.ended(await world.ask(worker))
    assert (ended.status, ended.metadata["attempts"]) == (Status.FAILED, 1)
    assert "read" in store.calls


@in_world
async def test_a_time_limit_of_the_sources_own_is_a_failure_like_any_other(
    world: World,
) -> None:
    source = ScriptedSource([Bug(TimeoutError(PROVIDER_TEXT))], [Say("A"), Done()])
    ended = await play(world, source)
    assert (ended.status, ended.text, ended.metadata["attempts"]) == (Status.FINISHED, "A", 2)


@pytest.mark.promise("honest-failure")
@in_world
async def test_metadata_that_cannot_be_written_down_fails_the_run(world: World) -> None:
    ended = await play(world, ScriptedSource([Say("A"), Done("stop", {"odd": object()})]))
    assert (ended.status, ended.text) == (Status.FAILED, "A")


@pytest.mark.parametrize(
    "error", [RuntimeError("cannot close"), ModelError("late", retryable=True), TimeoutError()]
)
@in_world
async def test_a_source_that_cannot_be_closed_in_order_has_answered_all_the_same(
    world: World, error: Exception
) -> None:
    ended = await play(world, ScriptedSource([Say("A"), Done()], when_ended=error))
    assert (ended.status, ended.text) == (Status.FINISHED, "A")
    assert ended.notices == []


@in_world
async def test_a_stall_that_the_source_turns_into_its_own_failure_counts_once(
    world: World,
) -> None:
    error = ModelError("The connection was lost.", retryable=True)
    source = ScriptedSource([Wait()], [Say("A"), Done()], when_ended=error)
    ended = await play(world, source)
    assert (ended.status, len(ended.notices), len(source.prompts)) == (Status.FINISHED, 1, 2)


@pytest.mark.promise("honest-failure")
@in_world
async def test_the_time_limit_of_the_run_ends_a_source_that_makes_a_failure_of_it(
    world: World,
) -> None:
    error = ModelError("The connection was lost.", retryable=True)
    source = ScriptedSource([Say("A"), Wait(50), Say("B"), Wait()], when_ended=error)
    ended = await play(world, source, Limits(whole_run=70))
    assert (ended.status, ended.text, len(source.prompts)) == (Status.FAILED, "AB", 1)
    assert "took too long" in ended.log[-1]["errorText"]


@in_world
async def test_a_failed_answer_does_not_stand_in_the_way_of_the_next_question(
    world: World,
) -> None:
    source = ScriptedSource([Fail(retryable=False)], [Say("A"), Done()])
    worker = await world.worker(source)
    first, second = await world.ask(worker), await world.ask(worker)
    assert (await world.ended(first)).status is Status.FAILED
    assert (await world.ended(second)).text == "A"
    await until(lambda: worker.running == 0)
