"""A run that goes well."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.source import Turn

from .run_world import World, in_world
from .scripted_source import Bug, Do, Done, Reason, Say, Scene, ScriptedSource, Wait
from .virtual_time import DAWN, now

USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
HARD = ['"}', "\\", "\n\r\x00", "\u2028", "😀", '","delta":"']


@in_world
async def test_a_plain_answer_is_in_the_log_record_by_record(world: World) -> None:
    done = Done("stop", {"model": "test/model-2", "usage": USAGE})
    ended = await world.play(ScriptedSource([Wait(1), Say("Hel", "lo"), Wait(1), done]))
    about = {
        "run": ended.run.id,
        "model": "test/model",
        "createdAt": "2027-01-15T08:00:00.000Z",
        "status": "running",
        "context": {"turns": 1, "dropped": 0, "tokens": 7},
    }
    assert ended.log == [
        {"type": "start", "messageId": ended.run.message_id, "messageMetadata": about},
        {"type": "start-step"},
        {"type": "text-start", "id": "p1"},
        {"type": "text-delta", "id": "p1", "delta": "Hel"},
        {"type": "text-delta", "id": "p1", "delta": "lo"},
        {"type": "text-end", "id": "p1"},
        {"type": "finish-step"},
        {
            "type": "finish",
            "finishReason": "stop",
            "messageMetadata": {
                "status": "finished",
                "model": "test/model-2",
                "usage": USAGE,
                "timing": {"totalMs": 2000, "firstTokenMs": 1000},
                "attempts": 1,
                "finishReason": "stop",
            },
        },
    ]
    assert ended.run.ended_at == DAWN + 2000


@in_world
async def test_reasoning_and_text_are_separate_parts_in_order(world: World) -> None:
    source = ScriptedSource([Reason("Hm"), Reason("m"), Say("A"), Reason("so"), Say("B"), Done()])
    ended = await world.play(source)
    assert ended.parts == [("reasoning", "Hmm"), ("text", "A"), ("reasoning", "so"), ("text", "B")]
    starts = [chunk["id"] for chunk in ended.log if chunk["type"].endswith("-start")]
    assert len(starts) == len(set(starts)) == 4


@in_world
async def test_the_model_is_given_the_system_prompt_and_the_conversation(world: World) -> None:
    source = ScriptedSource([Reason("Hm."), Say("One."), Done()], [Say("Two."), Done()])
    worker = await world.worker(source, system="Be brief.")
    await world.ended(await world.ask(worker, text="First?"))
    await world.ended(await world.ask(worker, text="Second?"))
    assert source.prompts[1].turns == [
        Turn("system", "Be brief."),
        Turn("user", "First?"),
        Turn("assistant", "One."),
        Turn("user", "Second?"),
    ]
    assert source.prompts[1].prefill == ""


@in_world
async def test_a_model_that_finishes_without_a_word_makes_an_empty_message(world: World) -> None:
    ended = await world.play(ScriptedSource([Done()]))
    assert ended.status is Status.FINISHED
    assert ended.kinds == ["start", "start-step", "finish-step", "finish"]
    assert "firstTokenMs" not in ended.metadata["timing"]


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize(
    ("scene", "text"),
    [
        ([Say("", "A", "", ""), Reason(""), Say("B"), Done()], "AB"),
        ([Say("A"), Done(), Say("B"), Bug(RuntimeError("after the end"))], "A"),
        ([Say(*HARD), Done()], "".join(HARD)),
    ],
    ids=["empty deltas", "what follows the finish", "text that is hard to encode"],
)
@in_world
async def test_odd_answers_are_stored_unchanged(world: World, scene: Scene, text: str) -> None:
    ended = await world.play(ScriptedSource(scene))
    assert (ended.status, ended.text) == (Status.FINISHED, text)


@in_world
async def test_a_record_is_readable_as_soon_as_it_is_produced(world: World) -> None:
    source = ScriptedSource([Say("A"), Wait(5), Say("B"), Wait(5), Done()])
    run = await world.ask(await world.worker(source))
    for text, at in (("A", 0), ("AB", 5)):
        await world.said(run, text)
        assert await world.text(run) == text
        assert now() - DAWN - at * 1000 < 100


@in_world
async def test_queued_runs_of_a_chat_are_answered_one_after_the_other(world: World) -> None:
    open_now: list[int] = []
    look = Do(lambda: open_now.append(source.open))
    source = ScriptedSource(
        by_prompt=lambda prompt: [look, Wait(3), Say(prompt.turns[-1].text), look, Done()]
    )
    worker = await world.worker(source, Limits(poll=60))
    runs = [await world.ask(worker, text=name) for name in "abc"]
    assert [(await world.find(run)).status for run in runs] == ["running", "queued", "queued"]
    for number, (run, name) in enumerate(zip(runs, "abc", strict=True), 1):
        ended = await world.ended(run)
        assert ended.text == name
        timing = {key: round(ms, -2) for key, ms in ended.metadata["timing"].items()}
        since_asked = number * 3000
        assert timing == {"totalMs": since_asked, "firstTokenMs": since_asked}
    assert open_now == [1] * 6


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize("jitter", [None, random.Random(1)], ids=["quick", "with delays"])
@in_world
async def test_no_more_runs_are_executed_at_once_than_allowed(
    world: World, jitter: random.Random | None
) -> None:
    open_now: list[int] = []
    look = Do(lambda: open_now.append(source.open))
    source = ScriptedSource([look, Wait(2), Say("A"), look, Done()])
    limits, store = Limits(concurrent_runs=3, poll=60), world.faulty(jitter)
    worker = await world.worker(source, limits, store=store)
    sending = [world.ask(worker, chat=f"chat-{number}") for number in range(12)]
    for run in await asyncio.gather(*sending):
        assert (await world.ended(run)).text == "A"
    assert max(open_now) == 3
    assert now() - DAWN < 4 * 2000 + 500, "who waits starts as soon as there is room"


@in_world
async def test_a_message_that_the_store_refuses_takes_no_room(world: World) -> None:
    store = world.faulty()
    store.fail("send", "before")
    source = ScriptedSource([Say("A"), Done()])
    worker = await world.worker(source, Limits(concurrent_runs=1), store=store)
    with pytest.raises(StoreUnavailable):
        await world.ask(worker)
    assert (await world.ended(await world.ask(worker), within=60)).text == "A"


@pytest.mark.promise("one-end")
@pytest.mark.parametrize("last", [Done(), Bug(ValueError("x"))], ids=["ends", "fails"])
@in_world
async def test_the_last_record_goes_to_the_store_with_the_end_and_never_before(
    world: World, last: Do
) -> None:
    store = world.faulty()
    ended = await world.play(ScriptedSource([Say("A"), last]), Limits(attempts=1), store)
    appended = [record for batch in store.batches for item in batch for record in item.records]
    assert ended.log[-1]["type"] in ("finish", "error")
    assert chunks.encode(ended.log[-1]) not in appended, "it was written before the end"
    assert store.calls.count("end") == 1, f"the end took several calls: {store.calls}"
