"""What the model is sent of a long conversation, in all attempts of a run."""

from __future__ import annotations

import pytest

from durable_llm_streams.errors import InvalidSetting, MessageTooLong
from durable_llm_streams.runs import Limits, Worker

from .run_world import World, in_world
from .scripted_source import Done, Fail, Say, Scene, ScriptedSource, Tell

SHORT = Limits(context_tokens=30)  # a turn has 5 here


def texts(source: ScriptedSource, number: int) -> list[str]:
    return [turn.text for turn in source.prompts[number].turns]


async def conversation(world: World, worker: Worker, count: int) -> None:
    """Exchanges of "Q" and "A"."""
    for _ in range(count):
        await world.ended(await world.ask(worker, text="Q"))


@in_world
async def test_a_long_conversation_is_cut_and_the_answer_says_so(world: World) -> None:
    source = ScriptedSource(by_prompt=lambda _: [Say("A"), Done()])
    worker = await world.worker(source, SHORT)
    await conversation(world, worker, 5)
    ended = await world.ended(await world.ask(worker, text="Last"))
    assert texts(source, 5) == ["Q", "A", "Q", "A", "Last"]
    assert ended.metadata["context"] == {"turns": 5, "dropped": 6, "tokens": 27}


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize("limit", [0, 9, 30], ids=["none", "lower", "the same"])
@in_world
async def test_a_takeover_sends_the_same_turns_under_other_settings(
    world: World, limit: int
) -> None:
    begun: Scene = [Tell("The quick brown fox jumps over", every=3), Done()]
    first = ScriptedSource(
        by_prompt=lambda prompt: begun if prompt.turns[-1].text == "Last" else [Say("A"), Done()]
    )
    store = world.faulty()
    worker = await world.worker(first, SHORT, store=store)
    await conversation(world, worker, 4)
    run = await world.ask(worker, text="Last")
    await world.said(run, "The quick")
    store.freeze()
    second = ScriptedSource([Say(" fox."), Done()], can_prefill=True)
    await world.worker(second, Limits(context_tokens=limit))
    ended = await world.ended(run)
    assert ended.run.takeovers == 1
    assert texts(second, 0) == texts(first, 4) == ["Q", "A", "Q", "A", "Last"]
    assert ended.metadata["context"]["dropped"] == 4


@in_world
async def test_a_retry_sends_the_same_turns(world: World) -> None:
    answer: Scene = [Say("A"), Done()]
    source = ScriptedSource(*[answer] * 4, [Fail(retryable=True)], answer)
    worker = await world.worker(source, SHORT)
    await conversation(world, worker, 4)
    await world.ended(await world.ask(worker, text="Last"))
    assert texts(source, 4) == texts(source, 5) == ["Q", "A", "Q", "A", "Last"]


@in_world
async def test_a_question_that_is_too_long_makes_no_run(world: World) -> None:
    source = ScriptedSource([Say("A"), Done()])
    worker = await world.worker(source, SHORT, system="Be.")
    with pytest.raises(MessageTooLong):
        await world.ask(worker, text="A" * 30)
    assert list(await world.store.runs.newest()) == []
    assert source.prompts == []


@in_world
async def test_a_worker_refuses_a_system_prompt_that_leaves_no_room(world: World) -> None:
    with pytest.raises(InvalidSetting, match="system prompt"):
        await world.worker(ScriptedSource([Done()]), SHORT, system="A" * 40)
