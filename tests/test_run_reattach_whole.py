"""A provider that gives a job's whole answer, or its pictures and citations again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.providers.kept.background import BackgroundModels
from durable_llm_streams.providers.kept.openai_responses import OpenAIResponses
from durable_llm_streams.runs import Alive, Citation, Event, File, Finish, Prompt, TextDelta

from .fake_provider import FakeProvider, answer
from .run_world import World, in_world
from .scripted_jobs import Keeper, KeptSource

pytestmark = pytest.mark.promise("takeover", "one-clean-answer")

END = Finish(reason="stop", metadata={})
CAT = File(media_type="image/png", url="data:image/png;base64,AAAA")
PAGE = Citation(url="https://example.org/a", title="A")


async def quickly(_: float) -> None:
    await asyncio.sleep(0.001)


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as fake:
        fake.jobs.too_old = True
        yield fake


@pytest.fixture
async def source(provider: FakeProvider) -> AsyncIterator[OpenAIResponses]:
    every = BackgroundModels.parse("*")
    made = OpenAIResponses(background=every, base_url=provider.base_url, sleep=quickly)
    yield made
    await made.close()


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


@pytest.mark.parametrize("words", [0, 1, 7])
async def test_a_job_that_is_too_old_to_stream_ends_as_one_clean_answer(
    tmp_path: Path, provider: FakeProvider, source: OpenAIResponses, words: int
) -> None:
    provider.plan(f"tokens=20,rate=200,reasoning=2,cut_after={words}")
    async with World(tmp_path) as world:
        ended = await world.ended(await world.ask(await world.worker(source)))
    assert (ended.status, ended.text) == (Status.FINISHED, answer(20))
    assert "reset-step" not in ended.kinds
    assert [asked["rung"] for asked in ended.fold.ladder] == ["first", "reattach"]
    (job,) = provider.jobs.all
    assert (job.cancels, len(provider.requests)) == (0, 1)


async def test_a_job_that_cannot_be_polled_is_ended_before_another_is_asked_for(
    tmp_path: Path, provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.plan("tokens=1000,rate=50,cut_after=2", "tokens=3")
    provider.jobs.polled = [404]
    async with World(tmp_path) as world:
        ended = await world.ended(await world.ask(await world.worker(source)))
    assert (ended.status, ended.text) == (Status.FINISHED, answer(3))
    assert [asked["rung"] for asked in ended.fold.ladder] == ["first", "reattach", "restart"]
    first, second = provider.jobs.all
    assert (first.status, second.status) == ("cancelled", "completed")
    assert provider.jobs.together == 1


async def test_a_finished_job_that_says_something_else_is_restarted(
    tmp_path: Path, provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.plan("tokens=5,cut_after=2", "tokens=3")
    provider.jobs.rewrites = "Quite another answer."
    async with World(tmp_path) as world:
        ended = await world.ended(await world.ask(await world.worker(source)))
    assert (ended.status, ended.text) == (Status.FINISHED, answer(3))
    assert "reset-step" in ended.kinds
