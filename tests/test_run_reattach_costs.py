"""The message tells how the model was asked, what was said twice, and what each time cost."""

from __future__ import annotations

from durable_llm_streams.model import Status
from durable_llm_streams.source import Finish, TextDelta
from durable_llm_streams.runs import Limits

from .faulty_store import FaultyStore
from .one_run import play
from .run_world import World, in_world
from .scripted_jobs import Keeper, KeptSource
from .scripted_source import Done, Fail, Reason, Say, ScriptedSource, Tell, Wait

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
FIRST = {"usage": {"outputTokens": 7}, "cost": 0.1}
LAST = {"usage": {"outputTokens": 22}, "cost": 0.2, "model": "m"}


@in_world
async def test_an_answer_at_the_first_attempt_tells_nothing_of_others(world: World) -> None:
    ended = await play(world, ScriptedSource([Say("A"), Done(metadata=LAST)]))
    assert (ended.metadata["cost"], ended.metadata["usage"]) == (0.2, LAST["usage"])
    assert not {"ladder", "totalCost"} & set(ended.metadata)


@in_world
async def test_a_restart_tells_what_is_said_twice_and_what_the_failed_attempt_cost(
    world: World,
) -> None:
    source = ScriptedSource(
        [Reason("Hm."), Tell(TEXT, upto=20), Fail(metadata=FIRST)],
        [Fail()],
        [Tell(TEXT), Done(metadata=LAST)],
    )
    ended = await play(world, source)
    assert ended.metadata["ladder"] == [
        {"rung": "first", **FIRST},
        {"rung": "restart", "repeated": 23},  # characters, of text and reasoning
        {"rung": "restart", "usage": LAST["usage"], "cost": 0.2},
    ]
    assert ended.metadata["totalCost"] == 0.3
    assert (ended.metadata["cost"], ended.metadata["usage"]) == (0.2, LAST["usage"])
    assert ended.metadata["attempts"] == 3


@in_world
async def test_characters_are_unicode_code_points(world: World) -> None:
    source = ScriptedSource([Say("\U0001f30d\u00e9"), Fail()], [Say("A"), Done()])
    ended = await play(world, source)
    assert ended.metadata["ladder"][1] == {"rung": "restart", "repeated": 2}
    assert "totalCost" not in ended.metadata


@in_world
async def test_a_continuation_says_nothing_twice(world: World) -> None:
    source = ScriptedSource(
        [Tell(TEXT, upto=20), Fail(metadata={"cost": 0.1})],
        [Tell(TEXT), Done(metadata=LAST)],
        can_prefill=True,
    )
    ended = await play(world, source)
    assert ended.metadata["ladder"] == [
        {"rung": "first", "cost": 0.1},
        {"rung": "prefill", "usage": LAST["usage"], "cost": 0.2},
    ]
    assert ended.metadata["totalCost"] == 0.3


@in_world
async def test_a_takeover_knows_from_the_log_what_the_earlier_attempts_cost(world: World) -> None:
    store = FaultyStore(world.store)
    source = ScriptedSource([Say("A"), Fail(metadata=FIRST)], [Tell(TEXT, upto=20), Wait()])
    run = await world.ask(await world.worker(source, store=store))
    await world.said(run, TEXT[:20])
    store.freeze()
    await world.worker(ScriptedSource([Tell(TEXT), Done(metadata=LAST)]))
    ended = await world.ended(run)
    assert ended.metadata["ladder"] == [
        {"rung": "first", **FIRST},
        {"rung": "restart", "repeated": 1},
        {"rung": "restart", "repeated": 20, "usage": LAST["usage"], "cost": 0.2},
    ]
    assert ended.metadata["attempts"] == 3
    store.thaw()


@in_world
async def test_a_failed_answer_tells_what_it_cost(world: World) -> None:
    source = ScriptedSource([Say("A"), Fail(metadata=FIRST)])
    ended = await play(world, source, Limits(attempts=2))
    assert ended.status is Status.FAILED
    assert [asked["cost"] for asked in ended.metadata["ladder"]] == [0.1, 0.1]
    assert (ended.metadata["totalCost"], ended.metadata["cost"]) == (0.2, 0.1)


@in_world
async def test_whoever_stops_tells_what_the_log_knows_of_the_attempts(world: World) -> None:
    source = ScriptedSource([Say("A"), Fail(metadata=FIRST)], [Say("B"), Wait()])
    run = await world.ask(await world.worker(source))
    await world.said(run, "B")
    other = await world.worker(source, started=False)
    await other.stop(await world.find(run))
    ended = await world.ended(run)
    assert ended.metadata["ladder"] == [
        {"rung": "first", **FIRST},
        {"rung": "restart", "repeated": 1},
    ]
    assert ended.metadata["totalCost"] == 0.1


@in_world
async def test_listening_again_costs_nothing_again(world: World) -> None:
    usage = {"usage": {"outputTokens": 3}}
    keeper = Keeper([TextDelta("a "), TextDelta("b "), Finish(reason="stop", metadata=usage)])
    keeper.cuts = [1]
    ended = await play(world, KeptSource(keeper))
    assert ended.metadata["ladder"] == [{"rung": "first"}, {"rung": "reattach", **usage}]
    assert ended.metadata["usage"] == usage["usage"]


@in_world
async def test_a_planned_end_is_no_attempt_and_yet_shows_what_it_cost(world: World) -> None:
    source = ScriptedSource([Tell(TEXT, every=3), Done()])
    leaving = await world.worker(source)
    run = await world.ask(leaving)
    await world.said(run, TEXT[:9])
    await leaving.close()
    await world.worker(source)
    ended = await world.ended(run)
    assert ended.metadata["attempts"] == 1
    assert ended.metadata["ladder"][1] == {"rung": "restart", "repeated": 9}
