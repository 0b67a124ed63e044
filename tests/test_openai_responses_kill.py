"""Real servers, killed in the middle of an answer that the provider keeps."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.crash.rig import Rig, rig, shown
from tests.fake_provider import FakeProvider, answer
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)

WORDS = 150


def settings(provider: FakeProvider, options: str = "") -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": provider.base_url,
        "DLS_MODEL": f"fake:tokens={WORDS},rate=150,first=0.3{options}",
        "DLS_BACKGROUND": "fake:*",
    }


def rungs(message: dict[str, Any]) -> list[str]:
    return [asked["rung"] for asked in message["metadata"]["ladder"]]


@pytest.mark.promise("takeover", "one-clean-answer")
@pytest.mark.parametrize("seed", [1, 2])
async def test_after_every_kill_the_same_job_goes_on_and_is_asked_for_once(
    tmp_path: Path, seed: int
) -> None:
    async with FakeProvider() as provider, rig(tmp_path, None, 1, settings(provider)) as it:
        reader = it.reader("chat").ask("Count")
        message = await it.killed_amid(reader, random.Random(seed), kills=5)
        records = it.log(reader).records
        assert shown(records) == answer(WORDS)
        spoken = b"".join(record for record in records if b'"text-delta"' in record)
        assert spoken.count(b"w77 ") == 1
        assert not any(b"reset-step" in record for record in records)
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
        rig(tmp_path, None, 1, settings(provider, ",window=0") | {"DLS_CONTINUE": "off"}) as it,
    ):
        reader = it.reader("chat").ask("Count")
        message = await it.killed_amid(reader, random.Random(3), kills=2)
        assert shown(it.log(reader).records) == answer(WORDS)
        assert rungs(message)[:3] == ["first", "reattach", "restart"]
        assert {request.path for request in provider.requests} == {"responses"}


@pytest.mark.promise("takeover", "one-clean-answer")
async def test_a_job_that_is_not_streamed_any_more_is_polled_after_a_kill(tmp_path: Path) -> None:
    async with FakeProvider() as provider, rig(tmp_path, None, 1, settings(provider)) as it:
        provider.jobs.too_old = True
        reader = it.reader("chat").ask("Count")
        message = await it.killed_amid(reader, random.Random(4), kills=1)
        records = it.log(reader).records
        assert shown(records) == answer(WORDS)
        assert not any(b"reset-step" in record for record in records)
        assert [request.path for request in provider.requests] == ["responses"]
        (job,) = provider.jobs.all
        assert (job.status, job.cancels, bool(job.polls)) == ("completed", 0, True)
        assert rungs(message) == ["first", "reattach"]


@pytest.mark.promise("hand-over", "one-clean-answer")
async def test_a_planned_end_leaves_the_job_alone_and_the_answer_goes_on(tmp_path: Path) -> None:
    async with (
        FakeProvider() as provider,
        rig(tmp_path, None, 1, {**settings(provider), "DLS_GRACE": "0"}) as it,
    ):
        reader = it.reader("chat").ask("Count")
        await reader.reaches(30)
        await it.servers[0].terminate()
        (job,) = provider.jobs.all
        assert job.cancels == 0
        await it.servers[0].start()
        message = await it.message(reader)
        text = shown(it.log(reader).records)
        assert (text, len(provider.requests)) == (answer(WORDS), 1)
        assert message["metadata"]["attempts"] == 1


@pytest.mark.promise("stop")
@pytest.mark.parametrize("how", ["stop", "delete"])
async def test_stopping_and_deleting_end_the_job_at_the_provider(tmp_path: Path, how: str) -> None:
    async with FakeProvider() as provider, rig(tmp_path, None, 1, settings(provider)) as it:
        reader = it.reader("chat").ask("Count")
        await reader.reaches(30)
        await stop(it, how)
        await until(lambda: provider.jobs.all[0].status, lambda status: status == "cancelled")
        await reader.finish()
        assert [request.path for request in provider.requests] == ["responses"]


async def stop(it: Rig, how: str) -> None:
    base = f"{it.servers[0].url}/api"
    if how == "stop":
        request = it.http.post(f"{base}/chat/chat/stop")
    else:
        request = it.http.delete(f"{base}/chats/chat")
    async with request as response:
        assert response.status < 300, await response.text()
