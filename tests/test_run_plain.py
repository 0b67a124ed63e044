"""A run that goes well."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Status
from durable_llm_streams.source import Finish, TextDelta, Turn
from durable_llm_streams.runs import Limits

from .faulty_store import FaultyStore
from .run_world import OWNER, World, in_world
from .scripted_source import Bug, Do, Done, Reason, Say, ScriptedSource, Wait
from .virtual_time import DAWN, now

USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}


@in_world
async def test_a_plain_answer_is_in_the_log_record_by_record(world: World) -> None:
    done = Done("stop", {"model": "test/model-2", "usage": USAGE})
    source = ScriptedSource([Wait(1), Say("Hel", "lo"), Wait(1), done])
    run = await world.ask(await world.worker(source))
    ended = await world.ended(run)
    about = {
        "run": run.id,
        "model": "test/model",
        "createdAt": "2027-01-15T08:00:00.000Z",
        "status": "running",
    }
    timing = {"totalMs": 2000, "firstTokenMs": 1000}
    assert ended.log == [
        {"type": "start", "messageId": run.message_id, "messageMetadata": about},
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
                "timing": timing,
                "attempts": 1,
                "finishReason": "stop",
            },
        },
    ]
    assert ended.run.ended_at == DAWN + 2000
    assert (await world.store.snapshot(OWNER, "chat")).chat.updated_at == DAWN + 2000


@in_world
async def test_reasoning_and_text_are_separate_parts_in_order(world: World) -> None:
    source = ScriptedSource([Reason("Hm"), Reason("m"), Say("A"), Reason("so"), Say("B"), Done()])
    ended = await world.ended(await world.ask(await world.worker(source)))
    assert [(part["type"], part.get("text")) for part in ended.fold.parts] == [
        ("step-start", None),
        ("reasoning", "Hmm"),
        ("text", "A"),
        ("reasoning", "so"),
        ("text", "B"),
    ]
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
    assert source.prompts[1].said == ""


@in_world
async def test_a_model_that_finishes_without_a_word_makes_an_empty_message(world: World) -> None:
    ended = await world.ended(await world.ask(await world.worker(ScriptedSource([Done()]))))
    assert ended.status is Status.FINISHED
    assert ended.kinds == ["start", "start-step", "finish-step", "finish"]
    assert "firstTokenMs" not in ended.metadata["timing"]


@in_world
async def test_empty_deltas_do_no_harm(world: World) -> None:
    source = ScriptedSource([Say("", "A", "", ""), Reason(""), Say("B"), Done()])
    ended = await world.ended(await world.ask(await world.worker(source)))
    assert (ended.status, ended.text) == (Status.FINISHED, "AB")


@in_world
async def test_nothing_counts_that_comes_after_the_finish(world: World) -> None:
    late = RuntimeError("after the end")
    source = ScriptedSource([Say("A"), Done(), Say("B"), Bug(late)])
    ended = await world.ended(await world.ask(await world.worker(source)))
    assert (ended.status, ended.text, source.open) == (Status.FINISHED, "A", 0)


@pytest.mark.promise("foreign-bytes")
@in_world
async def test_text_that_is_hard_to_write_down_arrives_as_it_was_said(world: World) -> None:
    hard = ['"}', "\\", "\n\r\x00", "\u2028", "😀", '","delta":"']
    worker = await world.worker(ScriptedSource([Say(*hard), Done()]))
    ended = await world.ended(await world.ask(worker))
    assert ended.text == "".join(hard)


@in_world
async def test_a_record_is_readable_as_soon_as_it_is_said(world: World) -> None:
    seen: list[str] = []
    source = ScriptedSource([Say("A"), Wait(5), Say("B"), Wait(5), Done()])
    run = await world.ask(await world.worker(source))
    for beginning, at in (("A", 0), ("AB", 5)):
        await world.said(run, beginning)
        seen.append(await world.text(run))
        assert now() - DAWN - at * 1000 < 100
    assert seen == ["A", "AB"]
    await world.ended(run)


@in_world
async def test_queued_runs_of_a_chat_are_answered_one_after_the_other(world: World) -> None:
    order: list[str] = []

    def scene(name: str) -> list[Do | Wait | Say | Done]:
        return [
            Do(lambda: order.append(f"begin {name}")),
            Wait(3),
            Say(name),
            Do(lambda: order.append(f"end {name}")),
            Done(),
        ]

    source = ScriptedSource(by_prompt=lambda prompt: scene(prompt.turns[-1].text))
    worker = await world.worker(source)
    runs = [await world.ask(worker, text=name) for name in "abc"]
    assert [(await world.find(run)).status for run in runs] == ["running", "queued", "queued"]
    for run, name, seconds in zip(runs, "abc", (3, 6, 9), strict=True):
        ended = await world.ended(run)
        timing = {key: round(ms, -3) for key, ms in ended.metadata["timing"].items()}
        assert ended.text == name
        assert timing == dict.fromkeys(("totalMs", "firstTokenMs"), seconds * 1000), "since asked"
    assert order == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


@pytest.mark.promise("honest-failure")
@in_world
async def test_no_more_runs_are_executed_at_once_than_allowed(world: World) -> None:
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, source.open)

    source = ScriptedSource([Do(look), Wait(2), Say("A"), Do(look), Done()])
    worker = await world.worker(source, Limits(concurrent_runs=2))
    runs = [await world.ask(worker, chat=f"chat-{number}") for number in range(7)]
    assert worker.running == 2
    for run in runs:
        assert (await world.ended(run)).text == "A"
    assert most == 2
    assert now() - DAWN < 4 * 2000 + 500  # who waits starts as soon as there is room


@in_world
async def test_messages_that_come_all_at_once_get_no_more_room_than_there_is(world: World) -> None:
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, source.open)

    source = ScriptedSource([Do(look), Wait(2), Say("A"), Done()])
    store = FaultyStore(world.store, jitter=random.Random(1))
    worker = await world.worker(source, Limits(concurrent_runs=3, poll=0.01), store=store)
    sending = [world.ask(worker, chat=f"chat-{number}") for number in range(12)]
    for run in await asyncio.gather(*sending):
        assert (await world.ended(run)).text == "A"
    assert most == 3


@in_world
async def test_a_message_that_the_store_refuses_takes_no_room(world: World) -> None:
    store = FaultyStore(world.store)
    store.fail("send", "before")
    source = ScriptedSource([Say("A"), Done()])
    worker = await world.worker(source, Limits(concurrent_runs=1), store=store)
    with pytest.raises(StoreUnavailable):
        await world.ask(worker)
    assert (await world.ended(await world.ask(worker), within=60)).text == "A"


@pytest.mark.promise("one-end")
@pytest.mark.parametrize(
    "script", [[Say("A"), Done()], [Say("A"), Bug(ValueError("x"))]], ids=["ends", "fails"]
)
@in_world
async def test_the_last_record_goes_to_the_store_with_the_end_and_never_before(
    world: World, script: list[Any]
) -> None:
    store = FaultyStore(world.store)
    worker = await world.worker(ScriptedSource(script), Limits(attempts=1), store=store)
    run = await world.ask(worker)
    last = (await world.ended(run)).log[-1]
    assert last["type"] in ("finish", "error")
    appended = [record for batch in store.batches for item in batch for record in item.records]
    assert chunks.encode(last) not in appended, "the last record was written before the end"
    assert store.calls.count("end") == 1, f"the end took several calls: {store.calls}"


@pytest.mark.promise("bounded")
@in_world
async def test_thousands_of_words_at_once_go_through_a_bounded_writer(world: World) -> None:
    words = [f"{number} " for number in range(5000)]
    worker = await world.worker(ScriptedSource([Say(*words), Done()]))
    assert (await world.ended(await world.ask(worker))).text == "".join(words)


def test_the_events_of_a_source_are_values() -> None:
    assert TextDelta("a") == TextDelta("a")
    assert Finish(reason="stop", metadata={}) == Finish(reason="stop", metadata={})
