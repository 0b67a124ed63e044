"""Real servers, killed in the middle of an answer that a llama.cpp server keeps."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.rig import rig, shown
from tests.fake_provider import FakeLlama, answer
from tests.test_openai_responses_kill import rungs, stop
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)

WORDS = 150


def settings(server: FakeLlama) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.base_url, "DLS_BACKGROUND": "*=llama.cpp"}


@pytest.mark.promise("takeover", "one-clean-answer")
async def test_after_every_kill_the_same_answer_goes_on_and_is_asked_for_once(
    tmp_path: Path,
) -> None:
    async with (
        FakeLlama(tokens=WORDS, pause=0.006) as server,
        rig(tmp_path, None, 1, settings(server)) as it,
    ):
        reader = it.reader("chat").ask("Count")
        message = await it.killed_amid(reader, random.Random(1), kills=3)
        records = it.log(reader).records
        assert shown(records) == answer(WORDS)
        assert not any(b"reset-step" in record for record in records)
        assert rungs(message) == ["first", *["reattach"] * len(server.read_from)]
        assert server.read_from
        assert (len(server.asked), server.deleted) == (1, [])


@pytest.mark.promise("stop")
async def test_stopping_ends_the_work_of_the_server(tmp_path: Path) -> None:
    async with (
        FakeLlama(tokens=1000, pause=0.01) as server,
        rig(tmp_path, None, 1, settings(server)) as it,
    ):
        reader = it.reader("chat").ask("Count")
        await reader.reaches(20)
        await stop(it, "stop")
        await until(lambda: server.at_work, lambda at_work: at_work == 0)
        await reader.finish()
        assert len(server.deleted) == 1
