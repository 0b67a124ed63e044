"""Attempts that fail, and what the next one does."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits

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
from .virtual_time import elapsed

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
WORDS = [f"{number} " for number in range(3000)]
ANSWER: Scene = [Say("A"), Done()]
LOST = ModelError("The connection was lost.", retryable=True)

pytestmark = pytest.mark.promise("honest-failure")


@in_world
async def test_a_failure_before_the_first_token_is_tried_again(world: World) -> None:
    ended = await world.play(ScriptedSource([Fail()], [Fail()], ANSWER))
    assert (ended.status, ended.text, ended.metadata["attempts"]) == (Status.FINISHED, "A", 3)
    assert ended.resets == 0
    told = [(each["event"], each["attempt"], each["attempts"]) for each in ended.notices]
    assert told == [("retry", 2, 5), ("retry", 3, 5)]
    assert ended.notices[0]["reason"] == "The model is overloaded."


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
async def test_retry_after_is_respected(
    world: World, asked: float, least: float, most: float
) -> None:
    source = ScriptedSource([Fail(retry_after=asked)], ANSWER)
    assert least <= await elapsed(world.play(source)) <= most


@in_world
async def test_a_retry_after_that_is_too_long_fails_the_run_at_once(world: World) -> None:
    source = ScriptedSource([Fail("Try again at noon.", retry_after=121)])
    ended = await world.play(source)
    assert (ended.status, len(source.prompts)) == (Status.FAILED, 1)
    assert ended.metadata["error"] == "Try again at noon."


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize("refused", [False, True])
@in_world
async def test_after_a_cut_a_model_that_can_continues_in_the_same_part(
    world: World, refused: bool
) -> None:
    """A refusal behind new text is a failure like any other."""
    failure = Fail(refused_rung=refused)
    scenes: list[Scene] = [[Tell(TEXT, 20)], [Tell(TEXT, 31), failure], [Tell(TEXT), Done()]]
    source = ScriptedSource(*scenes, can_prefill=True)
    ended = await world.play(source)
    assert [prompt.prefill for prompt in source.prompts] == ["", TEXT[:20], TEXT[:31]]
    assert (ended.text, ended.metadata["attempts"], ended.resets) == (TEXT, 3, 0)
    assert (ended.kinds.count("text-start"), ended.kinds.count("text-end")) == (1, 1)


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize(
    ("cut", "said", "text"), [([Reason("but")], "", "B"), ([], "A", "AB")], ids=["open", "over"]
)
@in_world
async def test_only_reasoning_that_is_open_keeps_a_model_from_continuing(
    world: World, cut: Scene, said: str, text: str
) -> None:
    again: Scene = [Say("B"), Done()] if said else [Reason("Hm"), Say("B"), Done()]
    source = ScriptedSource([Reason("Hm"), Say("A"), *cut], again, can_prefill=True)
    ended = await world.play(source)
    assert [prompt.prefill for prompt in source.prompts] == ["", said]
    assert ended.parts == [("reasoning", "Hm"), ("text", text)]


@pytest.mark.parametrize(
    ("scene", "text"), [([], ""), ([Say("A")], "A"), ([Reason("A")], ""), ([Say("")], "")]
)
@in_world
async def test_an_answer_without_a_finish_was_cut_and_fails_when_it_always_is(
    world: World, scene: Scene, text: str
) -> None:
    ended = await world.play(ScriptedSource(scene))
    sentence = "The answer could not be completed in 5 attempts. The model's answer was cut off."
    assert ended.log[-1] == {"type": "error", "errorText": sentence}
    assert (ended.status, ended.text, ended.metadata["attempts"]) == (Status.FAILED, text, 5)
    assert [notice["attempt"] for notice in ended.notices] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("scenes", "seconds", "text"),
    [
        ([[Wait()], [Wait(119), *ANSWER]], 120 + 119, "A"),
        ([[Say(*WORDS), Wait()], ANSWER], 60, "".join(WORDS) + "A"),
        (
            [
                [Wait(100), Say("A"), Wait(59), Say("B"), Wait()],
                [Wait(100), Say("C"), Wait(59), Say("D"), Wait()],  # in a part that is open
                [Say("E"), Wait(59), Done()],
            ],
            2 * (100 + 59 + 60) + 59,
            "ABCDE",
        ),
    ],
    ids=["before it begins", "behind thousands of words", "in the middle"],
)
@in_world
async def test_a_model_that_is_silent_for_too_long_times_out(
    world: World, scenes: list[Scene], seconds: float, text: str
) -> None:
    source = ScriptedSource(*scenes, can_prefill=True)
    run = await world.ask(await world.worker(source))
    assert seconds <= await elapsed(world.ended(run)) < seconds + 2
    assert await world.text(run) == text


@pytest.mark.promise("outage")
@in_world
async def test_a_store_outage_is_not_taken_for_a_stalled_model(world: World) -> None:
    store = world.faulty()
    source = ScriptedSource([Say("A"), Wait(1), Say(*WORDS), Done()])
    _, run = await world.answering(source, "A", store=store)
    store.down = True
    await asyncio.sleep(300)
    store.down = False
    ended = await world.ended(run)
    assert ended.notices == []
    assert ended.text == "A" + "".join(WORDS)


@pytest.mark.parametrize(
    ("scene", "limit", "text"),
    [
        ([Say(*"x" * 1000, every=30)], 3600, "x" * 119),
        ([Say("A"), Wait(50), Say("B"), Wait()], 70, "AB"),
    ],
    ids=["usual", "in a source that makes a failure of it"],
)
@in_world
async def test_the_whole_run_has_a_timeout_too_and_the_text_so_far_is_kept(
    world: World, scene: Scene, limit: float, text: str
) -> None:
    source = ScriptedSource(scene, when_ended=None if limit == 3600 else LOST)
    worker = await world.worker(source, Limits(whole_run=limit))
    run = await world.ask(worker)
    assert limit <= await elapsed(world.ended(run)) < limit + 1
    ended = await world.ended(run)
    assert (ended.status, ended.text, len(source.prompts)) == (Status.FAILED, text, 1)
    assert "took too long" in ended.log[-1]["errorText"]
    assert source.open == 0


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    ("last", "text"),
    [(Bug(ValueError(PROVIDER_TEXT)), "A"), (Done("stop", {"odd": object()}), "A"), (Done(), "")],
    ids=["of the source", "in its metadata", "of the store"],
)
@in_world
async def test_a_bug_fails_the_run_with_a_sentence_without_its_details(
    world: World, last: Bug | Done, text: str
) -> None:
    store = world.faulty()
    if not text:
        store.fail("thread", ValueError(PROVIDER_TEXT))
    source = ScriptedSource([Say("A"), last])
    ended = await world.play(source, store=store)
    assert (ended.status, ended.text, len(source.prompts)) == (Status.FAILED, text, bool(text))
    assert ended.log[-1]["errorText"] == "Something went wrong on the server. Try again."
    assert ended.metadata["attempts"] == 1


@pytest.mark.parametrize(
    ("first", "when_ended"),
    [(Bug(TimeoutError(PROVIDER_TEXT)), None), (Wait(), LOST)],
    ids=["its own", "a stall that it tells as its own failure"],
)
@in_world
async def test_a_time_limit_of_the_source_is_one_failure(
    world: World, first: Bug | Wait, when_ended: Exception | None
) -> None:
    source = ScriptedSource([first], ANSWER, when_ended=when_ended)
    ended = await world.play(source)
    assert (ended.status, ended.text, ended.metadata["attempts"]) == (Status.FINISHED, "A", 2)
    assert (len(ended.notices), len(source.prompts)) == (1, 2)


@pytest.mark.parametrize("error", [RuntimeError("cannot close"), LOST, TimeoutError()])
@in_world
async def test_a_source_that_cannot_be_closed_in_order_has_answered_all_the_same(
    world: World, error: Exception
) -> None:
    ended = await world.play(ScriptedSource(ANSWER, when_ended=error))
    assert (ended.status, ended.text, ended.notices) == (Status.FINISHED, "A", [])
