"""The rung `continue`: runs whose model is asked in words to continue."""

from __future__ import annotations

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.source import LateThought

from .run_world import Ended, World, in_world
from .scripted_source import (
    ContinuingScriptedSource,
    Done,
    Fail,
    Reason,
    Say,
    Scene,
    Show,
    Tell,
    Wait,
)
from .virtual_time import elapsed

TEXT = (
    "The quick brown fox jumps over the lazy dog, and then it sleeps until the sun stands high. "
    "Nobody knows what it dreams of, but its paws run, and now and then it barks at something."
)
CUT = 100
BEGUN: Scene = [Tell(TEXT, upto=CUT)]
ANEW = Say(*(TEXT[at : at + 5] for at in range(0, len(TEXT), 5)))
WHOLE: Scene = [ANEW, Done()]

pytestmark = pytest.mark.promise("one-clean-answer")


async def play(
    world: World, *scenes: Scene, limits: Limits | None = None
) -> tuple[Ended, ContinuingScriptedSource]:
    """One run of a source that can be asked to continue."""
    source = ContinuingScriptedSource(*scenes)
    return await world.play(source, limits), source


@in_world
async def test_a_model_continues_in_the_same_part_where_it_was_cut(world: World) -> None:
    ended, source = await play(world, BEGUN, [Reason("Hm."), Say(TEXT[CUT - 30 :]), Done()])
    assert (ended.text, ended.status, ended.resets) == (TEXT, Status.FINISHED, 0)
    assert ended.kinds.count("text-start") == 1
    first, second = source.prompts
    assert (second.continues, second.prefill) == (True, "")
    assert second.turns[:-2] == first.turns
    assert [turn.role for turn in second.turns[-2:]] == ["assistant", "user"]
    assert second.turns[-2].text == TEXT[:CUT].rstrip()
    held = len(TEXT) - CUT + 30
    assert ended.metadata["ladder"][1] == {"rung": "continue", "held": held, "dropped": 30}


@in_world
async def test_a_model_that_begins_anew_is_the_restart_itself(world: World) -> None:
    ended, source = await play(world, BEGUN, [Reason("Hm."), *WHOLE])
    assert (ended.parts, ended.resets) == ([("reasoning", "Hm."), ("text", TEXT)], 1)
    entry = ended.metadata["ladder"][1]
    assert (entry["rung"], entry["asked"], entry["repeated"]) == ("restart", "continue", CUT)
    assert ended.kinds[ended.kinds.index("reset-step") - 1] == "data-run"
    assert (ended.notices[-1]["event"], len(source.prompts)) == ("judged", 2)


@pytest.mark.parametrize("retryable", [True, False])
@in_world
async def test_a_refusal_to_go_on_is_restarted_and_costs_no_attempt(
    world: World, retryable: bool
) -> None:
    refusal: Scene = [Fail(retryable=retryable, refused_rung=True, metadata={"cost": 0.5})]
    ended, _ = await play(world, BEGUN, refusal, WHOLE, limits=Limits(attempts=2))
    assert (ended.text, ended.metadata["attempts"], ended.resets) == (TEXT, 2, 1)
    assert ended.metadata["ladder"][1:] == [
        {"rung": "continue", "cost": 0.5},
        {"rung": "restart", "repeated": CUT},
    ]


FAILS: Scene = [Fail()]
REFUSES: Scene = [Fail(refused_rung=True)]
ADDS: Scene = [Say(TEXT[CUT - 30 : CUT + 10]), Fail()]
GOES_ON: Scene = [Say(TEXT[CUT - 20 :]), Done()]
SORRY: Scene = [Say("Sorry, "), Wait(4), Say("what do you mean?"), Done()]


@pytest.mark.parametrize(
    ("scenes", "attempts", "can_prefill", "expected"),
    [
        ([FAILS, FAILS, WHOLE], 5, False, "continue continue restart"),
        ([FAILS, WHOLE], 3, False, "continue restart"),
        ([FAILS, ADDS, FAILS, GOES_ON], 7, False, "continue continue continue continue"),
        ([ADDS, GOES_ON], 3, False, "continue continue"),
        ([SORRY, WHOLE], 2, False, "continue restart"),
        ([REFUSES, REFUSES, WHOLE], 2, True, "prefill continue restart"),
        ([*[FAILS] * 4, WHOLE], 9, True, "prefill prefill continue continue restart"),
    ],
    ids=["twice", "last", "progress", "last progress", "slow sorry", "refusals", "twice each"],
)
@in_world
async def test_a_rung_that_adds_nothing_twice_or_refuses_gives_way(
    world: World, scenes: list[Scene], attempts: int, can_prefill: bool, expected: str
) -> None:
    source = ContinuingScriptedSource(BEGUN, *scenes, can_prefill=can_prefill)
    ended = await world.play(source, Limits(attempts=attempts))
    assert (ended.text, ended.rungs) == (TEXT, f"first {expected}")


@in_world
async def test_a_continuation_that_thinks_aloud_is_judged_behind_its_thoughts(
    world: World,
) -> None:
    thinks: Scene = [Say("I go on. "), Show(LateThought()), Say(TEXT[CUT:]), Done()]
    ended, _ = await play(world, BEGUN, thinks)
    assert (ended.text, ended.resets) == (TEXT, 0)


@pytest.mark.promise("bounded")
@in_world
async def test_an_answer_anew_keeps_its_thoughts_up_to_a_bound(world: World) -> None:
    thinks: Scene = [Reason("a" * 600_000), Reason("b" * 600_000), ANEW, Show(LateThought())]
    ended, _ = await play(world, BEGUN, [*thinks, Say("A cat."), Done()])
    assert ended.parts == [("reasoning", TEXT), ("text", "A cat.")]
    kept = [chunk["delta"][0] for chunk in ended.log if len(chunk.get("delta", "")) == 600_000]
    assert kept == ["a"], "a million characters are kept"


@in_world
async def test_a_slow_continuation_is_held_for_three_seconds(world: World) -> None:
    source = ContinuingScriptedSource(BEGUN, [Say(*TEXT[CUT:], every=1), Done()])
    _, run = await world.answering(source, TEXT[:CUT])
    assert await elapsed(world.said(run, TEXT[: CUT + 4])) < 6
    assert (await world.ended(run)).text == TEXT


@in_world
async def test_a_cut_in_reasoning_is_not_continued(world: World) -> None:
    ended, source = await play(world, [*BEGUN, Reason("but")], WHOLE)
    assert (ended.text, source.prompts[1].continues) == (TEXT, False)


@in_world
async def test_a_second_time_limit_without_a_new_word_is_the_last(world: World) -> None:
    cut: Scene = [Tell(TEXT, upto=CUT // 2), Wait()]
    new: Scene = [Say(TEXT[CUT // 2 - 20 : CUT]), Wait()]
    ended, source = await play(world, cut, new, [Wait()])
    assert (ended.status, ended.text) == (Status.FAILED, TEXT[:CUT])
    assert len(source.prompts) == 4
