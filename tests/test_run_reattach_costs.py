"""The message records each attempt: its rung, its repeated text and its cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.source import Event, Finish, TextDelta

from .run_world import World, in_world
from .scripted_jobs import Keeper, KeptSource
from .scripted_source import Done, Fail, Reason, Say, ScriptedSource, Tell, Wait

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
FIRST = {"usage": {"outputTokens": 7}, "cost": 0.1}
COST = {"usage": {"outputTokens": 22}, "cost": 0.2}
LAST = Done(metadata={**COST, "model": "m"})
USAGE = {"usage": {"outputTokens": 3}}
HEARD: list[Event] = [TextDelta("a "), Finish(reason="stop", metadata=USAGE)]


@in_world
async def test_an_answer_at_the_first_attempt_mentions_no_others(world: World) -> None:
    ended = await world.play(ScriptedSource([Say("A"), LAST]))
    assert (ended.metadata["cost"], ended.metadata["usage"]) == (0.2, COST["usage"])
    assert not {"ladder", "totalCost"} & set(ended.metadata)


@pytest.mark.parametrize(
    ("model", "ladder", "total"),
    [
        (
            lambda: ScriptedSource(
                [Reason("Hm."), Tell(TEXT, upto=20), Fail(metadata=FIRST)],
                [Fail()],
                [Tell(TEXT), LAST],
            ),
            [
                {"rung": "first", **FIRST},
                {"rung": "restart", "repeated": 23},  # characters, of text and reasoning
                {"rung": "restart", **COST},
            ],
            0.3,
        ),
        (
            lambda: ScriptedSource([Say("\U0001f30d\u00e9"), Fail()], [Say("A"), Done()]),
            [{"rung": "first"}, {"rung": "restart", "repeated": 2}],
            None,
        ),
        (
            lambda: ScriptedSource(
                [Tell(TEXT, upto=20), Fail(metadata={"cost": 0.1})],
                [Tell(TEXT), LAST],
                can_prefill=True,
            ),
            [{"rung": "first", "cost": 0.1}, {"rung": "prefill", **COST}],
            0.3,
        ),
        (
            lambda: KeptSource(Keeper(HEARD, cuts=[1])),
            [{"rung": "first"}, {"rung": "reattach", **USAGE}],
            None,
        ),
    ],
    ids=["restarts", "code points", "a continuation", "listening again"],
)
@in_world
async def test_the_message_lists_what_every_attempt_repeated_and_cost(
    world: World, model: Callable[[], ScriptedSource], ladder: list[object], total: float | None
) -> None:
    ended = await world.play(model())
    assert ended.metadata["ladder"] == ladder
    assert ended.metadata.get("totalCost") == total
    assert ended.metadata["attempts"] == len(ladder)


@in_world
async def test_a_failed_answer_includes_the_cost_of_its_last_attempt(world: World) -> None:
    source = ScriptedSource([Say("A"), Fail(metadata=FIRST)])
    ended = await world.play(source, Limits(attempts=2))
    assert ended.status is Status.FAILED
    assert [asked["cost"] for asked in ended.metadata["ladder"]] == [0.1, 0.1]
    assert (ended.metadata["totalCost"], ended.metadata["cost"]) == (0.2, 0.1)


@pytest.mark.parametrize("stops", [False, True], ids=["a takeover", "a stop"])
@in_world
async def test_after_a_takeover_the_log_has_the_cost_of_earlier_attempts(
    world: World, stops: bool
) -> None:
    source = ScriptedSource([Say("A"), Fail(metadata=FIRST)], [Tell(TEXT, upto=20), Wait()])
    _, _, run = await world.frozen(source, TEXT[:20])
    ladder = [{"rung": "first", **FIRST}, {"rung": "restart", "repeated": 1}]
    other = await world.worker(ScriptedSource([Tell(TEXT), LAST]), started=not stops)
    if stops:
        await other.stop(await world.find(run))
    ended = await world.ended(run)
    if not stops:
        ladder.append({"rung": "restart", "repeated": 20, **COST})
        assert ended.metadata["attempts"] == 3
    assert ended.metadata["ladder"] == ladder
    assert ended.metadata["totalCost"] == (0.1 if stops else 0.3)


@in_world
async def test_a_planned_end_is_no_attempt_and_yet_shows_what_it_cost(world: World) -> None:
    source = ScriptedSource([Tell(TEXT, every=3), Done()])
    leaving, run = await world.answering(source, TEXT[:9])
    await leaving.close()
    await world.worker(source)
    ended = await world.ended(run)
    assert ended.metadata["attempts"] == 1
    assert ended.metadata["ladder"][1] == {"rung": "restart", "repeated": 9}
