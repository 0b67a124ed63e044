"""The provider keeps the answer: the next attempt listens to it again, and repeats nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.source import (
    Alive,
    Citation,
    Event,
    File,
    Prompt,
    ReasoningDelta,
    TextDelta,
)

from .run_world import Ended, World, in_world
from .scripted_jobs import END, Keeper, KeptSource, says
from .scripted_source import Done, Say, Scene, ScriptedSource, Show, Wait
from .virtual_time import elapsed, until

pytestmark = pytest.mark.promise("takeover", "one-clean-answer")

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
SAID = TEXT[:21]
CAT = File(media_type="image/png", url="data:image/png;base64,AAAA")
PAGE = Citation(url="https://example.org/a", title="A")
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


def is_clean(ended: Ended) -> bool:
    """Whether the log itself holds the answer exactly once, in one part."""
    spoken = "".join(chunk["delta"] for chunk in ended.log if chunk["type"] == "text-delta")
    counts = (ended.resets, ended.kinds.count("text-start"))
    return (ended.status, ended.text, spoken, counts) == (Status.FINISHED, TEXT, TEXT, (0, 1))


def parts_of(events: Sequence[Event]) -> list[tuple[str, str]]:
    """The parts of a message that these events make."""
    parts: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            kind = "text" if isinstance(event, TextDelta) else "reasoning"
            before = parts.pop()[1] if parts and parts[-1][0] == kind else ""
            parts.append((kind, before + event.text))
    return parts


@pytest.mark.parametrize("mark_every", [0, 1, 4])
@pytest.mark.parametrize("said", [TEXT[:3], SAID, TEXT])
@in_world
async def test_a_takeover_resumes_the_job_in_the_same_part(
    world: World, said: str, mark_every: int
) -> None:
    keeper = Keeper(says(TEXT), mark_every=mark_every, every=2)
    _, _, run = await world.frozen(KeptSource(keeper), said)
    await world.worker(KeptSource(keeper))
    ended = await world.ended(run)
    assert (is_clean(ended), ended.rungs) == (True, "first reattach")
    assert (len(keeper.jobs), len(keeper.listened), keeper.cancels) == (1, 1, [])
    pieces = -(-len(said) // 3)
    behind = pieces % mark_every if mark_every else pieces
    assert pieces - int(keeper.listened[0].mark or 0) == behind


@in_world
async def test_a_job_is_resumed_before_its_first_token_too(world: World) -> None:
    keeper, store = Keeper(says(TEXT), every=20), world.faulty()
    run = await world.ask(await world.worker(KeptSource(keeper), store=store))
    await until(lambda: bool(keeper.jobs))
    await asyncio.sleep(0.1)
    store.freeze()
    await world.worker(KeptSource(keeper))
    assert (is_clean(await world.ended(run)), len(keeper.jobs)) == (True, 1)


@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize("mark_every", [0, 1, 2, 3])
@in_world
async def test_a_job_is_resumed_with_all_that_the_log_has_of_it(
    world: World, cut: int, mark_every: int
) -> None:
    keeper = Keeper(THOUGHTFUL, cuts=[cut], mark_every=mark_every)
    ended = await world.play(KeptSource(keeper))
    assert [part for part in ended.parts if part[1]] == parts_of(THOUGHTFUL)
    assert (len(keeper.jobs), len(keeper.listened)) == (1, 1)
    again = keeper.asked[1]
    marked = cut - cut % mark_every if mark_every else 0
    assert list(again.before_mark or ()) == parts_of(THOUGHTFUL[:marked])
    assert list(again.since_mark) == parts_of(THOUGHTFUL[marked:cut])


@pytest.mark.parametrize("cut", range(1, 6))
@in_world
async def test_pictures_and_citations_are_not_repeated(world: World, cut: int) -> None:
    keeper = Keeper([TextDelta("A "), CAT, PAGE, TextDelta("cat."), END], cuts=[cut])
    ended = await world.play(KeptSource(keeper))
    assert ended.parts == [("text", "A "), ("file", ""), ("source-url", ""), ("text", "cat.")]


@in_world
async def test_any_number_of_cuts_costs_nothing_again(world: World) -> None:
    keeper = Keeper(says(TEXT), cuts=[3, 5, 9, 0, 2], mark_every=4)
    ended = await world.play(KeptSource(keeper), Limits(attempts=9))
    assert (is_clean(ended), len(keeper.jobs)) == (True, 1)
    assert ended.rungs == "first" + " reattach" * 5


@in_world
async def test_after_a_shutdown_the_next_worker_resumes_the_job_at_once(
    world: World,
) -> None:
    keeper = Keeper(says(TEXT))
    first = KeptSource(keeper)
    leaving, run = await world.answering(first, SAID, Limits(lease=600))
    await world.worker(KeptSource(keeper), Limits(lease=600))
    await leaving.close()
    assert (first.open, keeper.cancels) == (0, [])
    assert await elapsed(until(lambda: bool(keeper.listened))) < 0.7
    ended = await world.ended(run)
    assert (is_clean(ended), ended.rungs) == (True, "first reattach")
    assert (ended.metadata["attempts"], keeper.cancels) == (1, [])


@pytest.mark.parametrize("lower", ["prefill", "restart"])
@in_world
async def test_when_the_providers_window_has_passed_the_next_rung_is_taken_at_once(
    world: World, lower: str
) -> None:
    keeper = Keeper(says(TEXT), window=12)
    _, _, run = await world.frozen(KeptSource(keeper), SAID)
    await asyncio.sleep(10)
    await world.worker(KeptSource(keeper, can_prefill=lower == "prefill"))
    assert await elapsed(until(lambda: len(keeper.asked) == 3)) < 1
    ended = await world.ended(run)
    assert (ended.text, ended.rungs) == (TEXT, f"first reattach {lower}")
    assert keeper.asked[2].prefill == (SAID if lower == "prefill" else "")
    assert (len(keeper.listened), ended.resets) == (1, lower == "restart")
    assert ended.metadata["attempts"] == 2, "nothing was asked of the model in vain"


@pytest.mark.parametrize("piece", [1, 2, 5, 20, 100])
@in_world
async def test_a_job_may_repeat_its_text_in_other_pieces(world: World, piece: int) -> None:
    keeper = Keeper(says(TEXT), cuts=[7])
    _, run = await world.answering(KeptSource(keeper), SAID)
    keeper.says = says(TEXT, piece)
    ended = await world.ended(run)
    assert (is_clean(ended), ended.rungs) == (True, "first reattach")


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
async def test_a_job_that_repeats_something_else_is_ended_and_begun_again(
    world: World, told_again: list[Event]
) -> None:
    keeper = Keeper(THOUGHTFUL)
    _, _, run = await world.frozen(KeptSource(keeper), "The fox ")
    keeper.says = told_again
    await world.worker(KeptSource(keeper))
    ended = await world.ended(run)
    assert (len(keeper.listened), keeper.cancels, ended.resets) == (1, ["job-1"], 1)
    assert ended.parts == parts_of(told_again)


@in_world
async def test_marks_before_the_end_of_the_log_are_ignored(world: World) -> None:
    keeper = Keeper(says(TEXT), cuts=[7, 9])
    _, run = await world.answering(KeptSource(keeper), SAID)
    keeper.mark_every = 2
    ended = await world.ended(run)
    assert is_clean(ended)
    assert [job.mark for job in keeper.listened] == ["", "8"]
    marks = [notice["mark"] for notice in ended.notices if notice["event"] == "job"]
    assert marks == ["", "8", *map(str, range(10, 23, 2))]


@in_world
async def test_a_job_that_stalls_twice_is_ended_and_the_step_begins_again(world: World) -> None:
    keeper = Keeper(says(TEXT))
    _, run = await world.answering(KeptSource(keeper), SAID)
    keeper.stuck.add("job-1")
    ended = await world.ended(run)
    assert (ended.text, keeper.cancels) == (TEXT, ["job-1"])
    assert ended.rungs == "first reattach restart"


@pytest.mark.parametrize(
    ("cuts", "window", "attempts", "rungs", "cancels"),
    [
        ([7] * 4, 600, 5, "first reattach reattach reattach restart", 1),
        ([7], 3, 2, "first reattach restart", 0),
    ],
    ids=["tells nothing new", "refuses at the last attempt"],
)
@in_world
async def test_a_useless_job_leaves_the_last_attempt_to_the_next_rung(
    world: World, cuts: list[int], window: float, attempts: int, rungs: str, cancels: int
) -> None:
    keeper = Keeper(says(TEXT), cuts=[*cuts], window=window)
    ended = await world.play(KeptSource(keeper), Limits(attempts=attempts))
    assert (ended.status, ended.text, ended.rungs) == (Status.FINISHED, TEXT, rungs)
    assert keeper.cancels == ["job-1"] * cancels


@in_world
async def test_a_restarted_answer_has_its_own_job_which_can_be_resumed(
    world: World,
) -> None:
    keeper = Keeper(says(TEXT), cuts=[-1, 5])
    _, run = await world.answering(KeptSource(keeper), SAID)
    keeper.ended.add("job-1")
    ended = await world.ended(run)
    assert (ended.text, ended.rungs) == (TEXT, "first restart reattach")
    assert [job.id for job in keeper.listened] == ["job-2"]


@in_world
async def test_a_worker_whose_source_keeps_no_jobs_takes_the_next_rung(world: World) -> None:
    _, _, run = await world.frozen(KeptSource(Keeper(says(TEXT))), SAID)
    source = ScriptedSource([Say("B"), Done()])
    await world.worker(source)
    ended = await world.ended(run)
    assert (ended.text, ended.rungs, source.prompts[0].job) == ("B", "first restart", None)


@in_world
async def test_a_frozen_worker_that_wakes_up_does_not_end_the_job_of_the_one_after_it(
    world: World,
) -> None:
    keeper = Keeper(says(TEXT))
    _, store, run = await world.frozen(KeptSource(keeper), TEXT[:9])
    second = await world.worker(KeptSource(keeper))
    await until(lambda: bool(keeper.listened))
    store.thaw()
    assert is_clean(await world.ended(run))
    await until(lambda: second.running == 0)
    assert keeper.cancels == []


class SlowJob(KeptSource):
    """Its job is polled for half an hour before it says the rest."""

    def _answer(self, prompt: Prompt) -> Scene:
        polls = 180 if prompt.job is not None else 0
        return [*[Wait(10), Show(Alive("chunk"))] * polls, *super()._answer(prompt)]


@in_world
async def test_a_job_may_be_polled_for_as_long_as_the_run_may_take(world: World) -> None:
    ended = await world.play(SlowJob(Keeper(says(TEXT), cuts=[1], window=3600)))
    assert (is_clean(ended), ended.rungs) == (True, "first reattach")
