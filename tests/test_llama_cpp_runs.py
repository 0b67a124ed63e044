"""Runs whose answers a llama.cpp server keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.providers.kept.background import BackgroundModels
from durable_llm_streams.providers.kept.kept_answers import KeptAnswers
from durable_llm_streams.runs import Limits

from .fake_provider import FakeLlama, answer
from .faulty_store import FaultyStore
from .run_world import Ended, World
from .waiting import until

pytestmark = pytest.mark.promise("takeover", "one-clean-answer")

QUICKLY = Limits(backoff=0.01)


@asynccontextmanager
async def asking(server: FakeLlama) -> AsyncIterator[KeptAnswers]:
    every = BackgroundModels.parse("*=llama.cpp")
    source = KeptAnswers(background=every, base_url=server.base_url)
    try:
        yield source
    finally:
        await source.close()


async def play(folder: Path, server: FakeLlama) -> Ended:
    async with asking(server) as source, World(folder) as world:
        return await world.ended(await world.ask(await world.worker(source, QUICKLY)))


def rungs(ended: Ended) -> list[str]:
    return [asked["rung"] for asked in ended.fold.ladder]


@pytest.mark.parametrize("cuts", [[0], [1], [60], [150, 200, 90], [900]])
async def test_a_cut_answer_goes_on_in_the_same_part_and_is_asked_for_once(
    tmp_path: Path, cuts: list[int]
) -> None:
    async with FakeLlama(tokens=20, thoughts=2, pause=0.001, cuts=[*cuts]) as server:
        ended = await play(tmp_path, server)
        assert (ended.status, ended.text) == (Status.FINISHED, answer(20))
        assert rungs(ended) == ["first", *["reattach"] * len(cuts)]
        assert (ended.kinds.count("text-start"), "reset-step" in ended.kinds) == (1, False)
        assert (len(server.asked), server.deleted) == (1, [])


async def test_a_worker_that_takes_over_goes_on_with_the_answer(tmp_path: Path) -> None:
    async with (
        FakeLlama(tokens=100, pause=0.005) as server,
        asking(server) as first,
        asking(server) as second,
        World(tmp_path) as world,
    ):
        store = FaultyStore(world.store)
        limits = Limits(lease=0.3)
        run = await world.ask(await world.worker(first, limits, store=store))
        await world.said(run, answer(5))
        store.freeze()
        await world.worker(second, limits)
        ended = await world.ended(run, within=30)
        assert (ended.status, ended.text) == (Status.FINISHED, answer(100))
        assert rungs(ended) == ["first", "reattach"]
        assert (len(server.asked), server.together) == (1, 1)
        store.thaw()


async def test_stopping_a_run_ends_the_work_of_the_server(tmp_path: Path) -> None:
    async with (
        FakeLlama(tokens=1000, pause=0.01) as server,
        asking(server) as source,
        World(tmp_path) as world,
    ):
        worker = await world.worker(source)
        run = await world.ask(worker)
        await world.said(run, answer(3))
        await worker.stop(run)
        await until(lambda: server.at_work == 0)
        assert (await world.ended(run)).status is Status.STOPPED
