"""Real servers, killed in the middle of an answer that the provider keeps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProvider, answer
from tests.test_kill import Reader, asking, check, killed_until_done, stored_message

pytestmark = pytest.mark.timeout(300)

WORDS = 150


def settings(provider: FakeProvider, options: str = "") -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": provider.base_url,
        "DLS_MODEL": f"fake:tokens={WORDS},rate=150,first=0.3{options}",
        "DLS_BACKGROUND": "fake:*",
    }


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def rungs(message: dict[str, Any]) -> list[str]:
    return [asked["rung"] for asked in message["metadata"]["ladder"]]


@pytest.mark.promise("takeover", "one-clean-answer")
@pytest.mark.parametrize("seed", [1, 2])
async def test_after_every_kill_the_same_job_goes_on_and_is_asked_for_once(
    tmp_path: Path, seed: int
) -> None:
    async with FakeProvider() as provider, asking(tmp_path, settings(provider)) as reader:
        await killed_until_done(reader, "Count", random.Random(seed), kills=5)
        message = await stored_message(reader)
        check(reader, message)
        assert reader.text == answer(WORDS)
        spoken = b"".join(record for record in reader.records if b'"text-delta"' in record)
        assert spoken.count(b"w77 ") == 1
        assert not any(b"reset-step" in record for record in reader.records)
        assert [request.path for request in provider.requests] == ["responses"]
        (job,) = provider.jobs.all
        assert (job.status, job.cancels) == ("completed", 0)
        assert rungs(message) == ["first", *["reattach"] * len(job.listened)]
        assert job.listened


@pytest.mark.promise("takeover", "one-clean-answer")
async def test_when_the_window_has_passed_the_answer_is_restarted_and_shown_once(
    tmp_path: Path,
) -> None:
    async with (
        FakeProvider() as provider,
        asking(tmp_path, settings(provider, ",window=0") | {"DLS_CONTINUE": "off"}) as reader,
    ):
        await killed_until_done(reader, "Count", random.Random(3), kills=2)
        message = await stored_message(reader)
        check(reader, message)
        assert reader.text == answer(WORDS)
        assert rungs(message)[:3] == ["first", "reattach", "restart"]
        assert {request.path for request in provider.requests} == {"responses"}


@pytest.mark.promise("takeover", "one-clean-answer")
async def test_a_job_that_is_not_streamed_any_more_is_polled_after_a_kill(tmp_path: Path) -> None:
    async with FakeProvider() as provider, asking(tmp_path, settings(provider)) as reader:
        provider.jobs.too_old = True
        await killed_until_done(reader, "Count", random.Random(4), kills=1)
        message = await stored_message(reader)
        check(reader, message)
        assert reader.text == answer(WORDS)
        assert not any(b"reset-step" in record for record in reader.records)
        assert [request.path for request in provider.requests] == ["responses"]
        (job,) = provider.jobs.all
        assert (job.status, job.cancels, bool(job.polls)) == ("completed", 0, True)
        assert rungs(message) == ["first", "reattach"]


@pytest.mark.promise("hand-over", "one-clean-answer")
async def test_a_planned_end_leaves_the_job_alone_and_the_answer_goes_on(tmp_path: Path) -> None:
    async with (
        FakeProvider() as provider,
        asking(tmp_path, {**settings(provider), "DLS_GRACE": "0"}) as reader,
    ):
        reading = asyncio.create_task(reader.ask("Count"))
        await reader.received(30)
        await reader.server.terminate()
        await reading
        (job,) = provider.jobs.all
        assert job.cancels == 0
        await reader.server.start()
        async with asyncio.timeout(60):
            while not reader.done:
                await reader.resume()
        check(reader, await stored_message(reader))
        assert (reader.text, len(provider.requests)) == (answer(WORDS), 1)
        assert reader.message["metadata"]["attempts"] == 1


@pytest.mark.promise("stop")
@pytest.mark.parametrize("how", ["stop", "delete"])
async def test_stopping_and_deleting_end_the_job_at_the_provider(tmp_path: Path, how: str) -> None:
    async with FakeProvider() as provider, asking(tmp_path, settings(provider)) as reader:
        reading = asyncio.create_task(reader.ask("Count"))
        await reader.received(30)
        await stop(reader, how)
        await until(lambda: provider.jobs.all[0].status == "cancelled")
        await reading
        assert [request.path for request in provider.requests] == ["responses"]


async def stop(reader: Reader, how: str) -> None:
    base = f"{reader.server.url}/api"
    if how == "stop":
        request = reader.session.post(f"{base}/chat/chat/stop")
    else:
        request = reader.session.delete(f"{base}/chats/chat")
    async with request as response:
        assert response.status < 300, await response.text()
