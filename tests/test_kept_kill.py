"""Real servers, killed in the middle of an answer that the provider keeps."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.rig import rig, shown
from tests.fake_provider import FakeLlama, FakeProvider, answer
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)

WORDS = 150
LONG = 20 * WORDS  # never at its end before a stop on a slow machine
Provider = FakeProvider | FakeLlama


def provider_of(kind: str, words: int = WORDS) -> Provider:
    if kind == "llama.cpp":
        return FakeLlama(tokens=words, pause=0.006)
    provider = FakeProvider()
    provider.jobs.too_old = kind == "polled"
    return provider


def settings(provider: Provider, words: int = WORDS) -> dict[str, str]:
    kind = "llama.cpp" if isinstance(provider, FakeLlama) else "responses"
    return {
        "OPENAI_BASE_URL": provider.base_url,
        "DLS_MODEL": f"fake:tokens={words},rate=150,first=0.3",
        "DLS_BACKGROUND": f"*={kind}",
    }


def requests(provider: Provider) -> tuple[int, int, int]:
    """How many answers were asked for, read again, and ended."""
    if isinstance(provider, FakeLlama):
        return len(provider.asked), len(provider.read_from), len(provider.deleted)
    (job,) = provider.jobs.all
    return len(provider.requests), len(job.listened), job.cancels


@pytest.mark.promise("takeover", "one-clean-answer")
@pytest.mark.parametrize(("kind", "kills"), [("responses", 5), ("polled", 1), ("llama.cpp", 3)])
async def test_after_every_kill_the_same_answer_continues_with_one_request(
    tmp_path: Path, kind: str, kills: int
) -> None:
    async with (
        provider_of(kind) as provider,
        rig(tmp_path, None, 1, settings(provider)) as it,
    ):
        reader = it.reader("chat").ask("Count")
        message = await it.killed_amid(reader, random.Random(1), kills=kills)
        records = it.log(reader).records
        assert shown(records) == answer(WORDS)
        spoken = b"".join(record for record in records if b'"text-delta"' in record)
        assert spoken.count(b"w77 ") == 1
        assert not any(b"reset-step" in record for record in records)
        asked, read_again, ended = requests(provider)
        assert (asked, read_again > 0, ended) == (1, True, 0)
        rungs = [asked["rung"] for asked in message["metadata"]["ladder"]]
        assert rungs == ["first", *["reattach"] * read_again]
        if isinstance(provider, FakeProvider):
            assert bool(provider.jobs.all[0].polls) == (kind == "polled")


@pytest.mark.promise("stop")
@pytest.mark.parametrize(("kind", "how"), [("responses", "delete"), ("llama.cpp", "stop")])
async def test_stopping_and_deleting_end_the_work_of_the_provider(
    tmp_path: Path, kind: str, how: str
) -> None:
    async with (
        provider_of(kind, LONG) as provider,
        rig(tmp_path, None, 1, settings(provider, LONG)) as it,
    ):
        reader = it.reader("chat").ask("Count")
        await reader.reaches(30)
        base = f"{it.servers[0].url}/api"
        if how == "stop":
            request = it.http.post(f"{base}/chat/chat/stop")
        else:
            request = it.http.delete(f"{base}/chats/chat")
        async with request as response:
            assert response.status < 300, await response.text()
        await until(lambda: requests(provider), lambda counts: counts[2] == 1, "one end")
        await reader.finish()
        assert requests(provider)[0] == 1
