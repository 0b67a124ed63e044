"""The provider keeps the answer: whoever goes on listens to it again, and nothing is said twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from durable_llm_streams.model import Run, Status
from durable_llm_streams.source import Event, Finish, ReasoningDelta, TextDelta
from durable_llm_streams.runs import Limits, Worker

from .faulty_store import FaultyStore
from .one_run import play, rungs
from .run_world import Ended, World, in_world
from .scripted_jobs import Keeper, KeptSource
from .scripted_source import Done, Say, ScriptedSource
from .virtual_time import now, until

pytestmark = pytest.mark.promise("takeover", "one-clean-answer")

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
END = Finish(reason="stop", metadata={"usage": {"outputTokens": 22}})


def says(text: str = TEXT, piece: int = 3) -> list[Event]:
    """A text in pieces, and the end."""
    return [*(TextDelta(text[at : at + piece]) for at in range(0, len(text), piece)), END]


THOUGHTFUL: Sequence[Event] = [
    ReasoningDelta("Hm. "),
    ReasoningDelta("A fox."),
    TextDelta("The "),
    TextDelta("fox "),
    ReasoningDelta("Or a "),
    ReasoningDelta("dog?"),
    TextDelta("sleeps."),
    END,
]


async def frozen(world: World, keeper: Keeper, said: str) -> tuple[FaultyStore, Run]:
    """A worker that stands still in the middle of an answer."""
    store = FaultyStore(world.store)
    run = await world.ask(await world.worker(KeptSource(keeper), store=store))
    await world.said(run, said)
    store.freeze()
    return store, run


def told(ended: Ended) -> list[tuple[str, str]]:
    return [(part["type"], part.get("text", "")) for part in ended.fold.parts]


def is_clean(ended: Ended, text: str = TEXT) -> bool:
    """Whether the log itself holds the answer exactly once, in one part."""
    spoken = "".join(chunk["delta"] for chunk in ended.log if chunk["type"] == "text-delta")
    return (
        (ended.status, ended.text, spoken) == (Status.FINISHED, text, text)
        and "reset-step" not in ended.kinds
        and ended.kinds.count("text-start") == 1
    )


@pytest.mark.parametrize("mark_every", [0, 1, 4])
@pytest.mark.parametrize("said", [TEXT[:3], TEXT[:21], TEXT])
@in_world
async def test_whoever_takes_over_listens_to_the_job_and_goes_on_in_the_same_part(
    world: World, said: str, mark_every: int
) -> None:
    keeper = Keeper(says(), mark_every=mark_every, every=2)
    store, run = await frozen(world, keeper, said)
    await world.worker(KeptSource(keeper))
    ended = await world.ended(run)
    assert is_clean(ended)
    assert (len(keeper.begun), len(keeper.listened), keeper.cancels) == (1, 1, [])
    pieces = -(-len(said) // 3)
    behind = pieces % mark_every if mark_every else pieces
    assert pieces - int(keeper.listened[0].mark or 0) == behind
    assert rungs(ended) == ["first", "reattach"]
    store.thaw()


@in_world
async def test_a_job_whose_first_token_nobody_saw_is_listened_to_as_well(world: World) -> None:
    keeper = Keeper(says(), every=20)
    store = FaultyStore(world.store)
    run = await world.ask(await world.worker(KeptSource(keeper), store=store))
    await until(lambda: bool(keeper.jobs))
    await asyncio.sleep(0.1)
    store.freeze()
    await world.worker(KeptSource(keeper))
    assert is_clean(await world.ended(run))
    assert len(keeper.begun) == 1
    store.thaw()


@pytest.mark.parametrize("events", range(1, 8))
@pytest.mark.parametrize("mark_every", [0, 2])
@in_world
async def test_reasoning_and_text_are_told_again_in_their_order(
    world: World, events: int, mark_every: int
) -> None:
    keeper = Keeper(THOUGHTFUL, cuts=[events], mark_every=mark_every)
    ended = await play(world, KeptSource(keeper))
    assert [(kind, text) for kind, text in told(ended) if text] == _in_parts(THOUGHTFUL)
    assert (len(keeper.begun), len(keeper.listened)) == (1, 1)


@in_world
async def test_any_number_of_cuts_costs_nothing_again(world: World) -> None:
    keeper = Keeper(says(), cuts=[3, 5, 9, 0, 2], mark_every=4)
    ended = await play(world, KeptSource(keeper), Limits(attempts=9))
    assert is_clean(ended)
    assert len(keeper.begun) == 1
    assert rungs(ended) == ["first", *["reattach"] * 5]


@in_world
async def test_a_planned_end_leaves_the_job_alone_and_the_next_worker_listens_at_once(
    world: World,
) -> None:
    keeper = Keeper(says())
    first = KeptSource(keeper)
    leaving = await world.worker(first)
    await world.worker(KeptSource(keeper))
    run = await world.ask(leaving)
    await world.said(run, TEXT[:21])
    begin = now()
    await leaving.close()
    assert (first.open, keeper.cancels, keeper.running) == (0, [], ["job-1"])
    await until(lambda: bool(keeper.listened))
    assert now() - begin < 700
    ended = await world.ended(run)
    assert is_clean(ended)
    assert (ended.metadata["attempts"], rungs(ended)) == (1, ["first", "reattach"])
    assert keeper.cancels == []


@pytest.mark.parametrize("can_prefill", [True, False])
@in_world
async def test_when_the_providers_window_has_passed_the_next_rung_is_taken_at_once(
    world: World, can_prefill: bool
) -> None:
    keeper = Keeper(says(), window=12)
    store, run = await frozen(world, keeper, TEXT[:21])
    await asyncio.sleep(10)
    begin = now()
    await world.worker(KeptSource(keeper, can_prefill=can_prefill))
    await until(lambda: len(keeper.asked) == 3)
    assert now() - begin < 1000
    ended = await world.ended(run)
    assert ended.text == TEXT
    assert len(keeper.listened) == 1
    assert keeper.asked[2].said == (TEXT[:21] if can_prefill else "")
    lower = "prefill" if can_prefill else "restart"
    assert rungs(ended) == ["first", "reattach", lower]
    assert ended.kinds.count("reset-step") == (0 if can_prefill else 1)
    assert ended.metadata["attempts"] == 2  # nothing was asked of the model in vain
    store.thaw()


@pytest.mark.parametrize("piece", [1, 2, 5, 20, 100])
@in_world
async def test_a_job_may_cut_its_text_into_other_pieces_when_it_tells_it_again(
    world: World, piece: int
) -> None:
    keeper = Keeper(says(), cuts=[7])
    run = await world.ask(await world.worker(KeptSource(keeper)))
    await world.said(run, TEXT[:21])
    keeper.says = says(piece=piece)
    ended = await world.ended(run)
    assert is_clean(ended)
    assert rungs(ended) == ["first", "reattach"]


@pytest.mark.parametrize(
    "told_again",
    [
        [TextDelta("Hm. "), TextDelta("A fox."), *THOUGHTFUL[2:]],  # reasoning becomes text
        [*THOUGHTFUL[:2], ReasoningDelta("The "), *THOUGHTFUL[3:]],  # and text reasoning
        [*THOUGHTFUL[:2], TextDelta("The "), ReasoningDelta("fox "), *THOUGHTFUL[4:]],
        [ReasoningDelta("Hm. "), ReasoningDelta("A fox. Or?"), *THOUGHTFUL[2:]],
        [ReasoningDelta("Hm. "), END],
        [*THOUGHTFUL[:3], TextDelta("cat jumps."), END],
        [*THOUGHTFUL[:2], TextDelta("Th"), *THOUGHTFUL[3:]],
    ],
)
@in_world
async def test_a_job_that_is_not_told_again_as_it_was_is_ended_and_begun_anew(
    world: World, told_again: list[Event]
) -> None:
    keeper = Keeper(THOUGHTFUL)
    _, run = await frozen(world, keeper, "The fox ")
    keeper.says = told_again
    await world.worker(KeptSource(keeper))
    ended = await world.ended(run)
    assert (len(keeper.listened), keeper.cancels) == (1, ["job-1"])
    assert ended.kinds.count("reset-step") == 1
    written = [(kind, text) for kind, text in told(ended) if text]
    assert written == _in_parts(told_again)


def _in_parts(events: Sequence[Event]) -> list[tuple[str, str]]:
    """The parts of a message that these events make."""
    parts: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            kind = "text" if isinstance(event, TextDelta) else "reasoning"
            before = parts.pop()[1] if parts and parts[-1][0] == kind else ""
            parts.append((kind, before + event.text))
    return parts


@in_world
async def test_marks_within_what_is_told_again_are_not_where_the_log_ends(world: World) -> None:
    keeper = Keeper(says(), cuts=[7, 9])
    run = await world.ask(await world.worker(KeptSource(keeper)))
    await world.said(run, TEXT[:21])
    keeper.mark_every = 2
    ended = await world.ended(run)
    assert is_clean(ended)
    assert [job.mark for job in keeper.listened] == ["", "8"]
    marks = [notice["mark"] for notice in ended.notices if notice["event"] == "job"]
    assert marks == ["", "8", *map(str, range(10, 23, 2))]


@in_world
async def test_a_refusal_at_the_last_attempt_leaves_that_attempt_to_the_next_rung(
    world: World,
) -> None:
    keeper = Keeper(says(), window=3, cuts=[7])
    ended = await play(world, KeptSource(keeper), Limits(attempts=2))
    assert (ended.status, ended.text) == (Status.FINISHED, TEXT)
    assert rungs(ended) == ["first", "reattach", "restart"]


@in_world
async def test_a_job_that_stalls_twice_is_ended_and_the_step_begins_again(world: World) -> None:
    keeper = Keeper(says())
    run = await world.ask(await world.worker(KeptSource(keeper)))
    await world.said(run, TEXT[:21])
    keeper.stuck.add("job-1")
    ended = await world.ended(run)
    assert (ended.text, keeper.cancels) == (TEXT, ["job-1"])
    assert rungs(ended) == ["first", "reattach", "restart"]


@in_world
async def test_a_job_that_tells_nothing_new_again_and_again_is_given_up_before_the_answer_is(
    world: World,
) -> None:
    keeper = Keeper(says(), cuts=[7] * 4)
    ended = await play(world, KeptSource(keeper))
    assert (ended.status, ended.text) == (Status.FINISHED, TEXT)
    assert rungs(ended) == ["first", *["reattach"] * 3, "restart"]
    assert keeper.cancels == ["job-1"]


@in_world
async def test_a_restarted_answer_has_a_job_of_its_own_that_is_listened_to_again(
    world: World,
) -> None:
    keeper = Keeper(says(), cuts=[-1, 5])
    run = await world.ask(await world.worker(KeptSource(keeper)))
    await world.said(run, TEXT[:21])
    keeper.jobs["job-1"].ended = True
    ended = await world.ended(run)
    assert ended.text == TEXT
    assert rungs(ended) == ["first", "restart", "reattach"]
    assert [job.id for job in keeper.listened] == ["job-2"]


@in_world
async def test_a_worker_whose_source_keeps_no_jobs_takes_the_next_rung(world: World) -> None:
    keeper = Keeper(says())
    store, run = await frozen(world, keeper, TEXT[:21])
    source = ScriptedSource([Say("B"), Done()])
    await world.worker(source)
    ended = await world.ended(run)
    assert (ended.text, rungs(ended)) == ("B", ["first", "restart"])
    assert source.prompts[0].job is None
    store.thaw()


@in_world
async def test_a_frozen_worker_that_wakes_up_does_not_end_the_job_of_the_one_after_it(
    world: World,
) -> None:
    keeper = Keeper(says())
    store, run = await frozen(world, keeper, TEXT[:9])
    second: Worker = await world.worker(KeptSource(keeper))
    await until(lambda: bool(keeper.listened))
    store.thaw()
    ended = await world.ended(run)
    assert is_clean(ended)
    assert keeper.cancels == []
    await until(lambda: second.running == 0)
