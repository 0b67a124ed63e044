"""What a worker knows of a job that it listens to again, and what it does not repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.source import Alive, Citation, Event, File, Finish, Prompt, TextDelta

from .run_world import World, in_world
from .scripted_jobs import Keeper, KeptSource

pytestmark = pytest.mark.promise("takeover", "one-clean-answer")

END = Finish(reason="stop", metadata={})
CAT = File(media_type="image/png", url="data:image/png;base64,AAAA")
PAGE = Citation(url="https://example.org/a", title="A")


@pytest.mark.parametrize("mark_every", [0, 1, 2, 3])
@pytest.mark.parametrize("cut", range(1, 7))
@in_world
async def test_a_job_is_listened_to_with_all_that_the_log_has_of_it(
    world: World, mark_every: int, cut: int
) -> None:
    says: list[Event] = [*(TextDelta(f"{number} ") for number in range(6)), END]
    keeper = Keeper(says, cuts=[cut], mark_every=mark_every)
    ended = await world.ended(await world.ask(await world.worker(KeptSource(keeper))))
    (prompt,) = [prompt for prompt in keeper.asked if prompt.job is not None]
    marked = cut - cut % mark_every if mark_every else 0
    before, heard = (
        [("text", "".join(f"{each} " for each in numbers))] if numbers else []
        for numbers in (range(marked), range(marked, cut))
    )
    assert (list(prompt.before or ()), list(prompt.heard)) == (before, heard)
    assert ended.text == "0 1 2 3 4 5 "


@pytest.mark.parametrize("cut", range(1, 6))
@in_world
async def test_pictures_and_citations_are_not_repeated(world: World, cut: int) -> None:
    says: list[Event] = [TextDelta("A "), CAT, PAGE, TextDelta("cat."), END]
    keeper = Keeper(says, cuts=[cut])
    ended = await world.ended(await world.ask(await world.worker(KeptSource(keeper))))
    assert [part["type"] for part in ended.fold.parts] == [
        "step-start",
        "text",
        "file",
        "source-url",
        "text",
    ]
    assert ended.text == "A cat."


class SlowJob(KeptSource):
    """Its job is polled for half an hour before it says the rest."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        for _ in range(180 if prompt.job is not None else 0):
            await asyncio.sleep(10)
            yield Alive("chunk")
        async with aclosing(super().stream(prompt)) as events:
            async for event in events:
                yield event


@in_world
async def test_a_job_may_be_polled_for_as_long_as_the_run_may_take(world: World) -> None:
    keeper = Keeper([TextDelta("A "), TextDelta("cat."), END], cuts=[1])
    ended = await world.ended(await world.ask(await world.worker(SlowJob(keeper))))
    assert (ended.status, ended.text) == (Status.FINISHED, "A cat.")
