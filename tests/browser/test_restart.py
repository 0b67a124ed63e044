"""The server is killed or restarted in the midst of an answer, and the page goes on."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from tests.browser.chat_page import ChatPage, letters
from tests.fake_provider import FakeProvider, answer
from tests.processes import ServerProcess, serving
from tests.waiting import within

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACE = "DLS_DEMO_TOKENS_PER_SECOND"

#: At first so slow that no machine is too slow to strike in mid-answer.
DEMO = {"DLS_LEASE": "1", "DLS_ATTEMPTS": "100", "DLS_GRACE": "0", PACE: "20"}
WORDS = 200

#: What the attempts count in: from the text alone one sees whose it is.
ATTEMPTS = ("a", "b", "c")


def counting(provider: FakeProvider, prefill: str) -> dict[str, str]:
    """The settings of a server whose model counts."""
    return {
        **DEMO,
        "OPENAI_BASE_URL": provider.base_url,
        "DLS_MODEL": f"fake:tokens={WORDS},rate=80",
        "DLS_PREFILL": prefill,
        "DLS_CONTINUE": "off",  # the fake provider counts from one when it is asked in words
    }


async def killed(tab: ChatPage, server: ServerProcess, pace: str = "80") -> None:
    """SIGKILL; what was read stays, and the page says what is the matter; then the next process."""
    before = await tab.shown()
    await server.kill()
    await tab.until_state("reconnecting")
    assert (await tab.shown()).startswith(before)
    server.environment[PACE] = pace
    await server.start()


async def continued(tab: ChatPage) -> None:
    """Go on, without the rest of the pause."""
    await tab.network_is_back()
    await tab.until_state("taken-over")


async def said_before(provider: FakeProvider, attempt: int) -> str:
    """Wait until the model was asked for this attempt; returns what it was told to go on from."""
    async with within(f"request {attempt} for the model"):
        request = await provider.request(attempt)
    last = request.body["messages"][-1]
    return str(last["content"]) if last["role"] == "assistant" else ""


@pytest.mark.promise("takeover", "prefix", "hand-over", "seen-is-durable")
async def test_the_demo_goes_on_after_a_planned_restart_and_after_kills(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with serving(tmp_path, DEMO) as server:
        tab = await ChatPage.open(context, server.url)
        await tab.send("Tell me of logs")
        await tab.until_longer(60)
        assert await server.terminate() == 0
        await tab.until_state("reconnecting")
        await server.start()
        await continued(tab)
        await tab.until_longer(90)
        await killed(tab, server, pace="20")
        await continued(tab)
        await tab.until_longer(120)
        await killed(tab, server)
        await tab.reload()
        await tab.until_ended()
        assert (await tab.assert_exact()).count("This is the built-in demo") == 1


@pytest.mark.promise("takeover", "prefix")
async def test_one_answer_survives_three_kills(context: BrowserContext, tmp_path: Path) -> None:
    rng = random.Random(6)
    async with FakeProvider() as provider, serving(tmp_path, counting(provider, "fake*")) as server:
        # Each says so much and waits for its end; the last one says the rest.
        provider.plan(*[f"tokens={WORDS},rate=80,stall_after=30"] * 3)
        tab = await ChatPage.open(context, server.url)
        await tab.send("Count")
        for attempt in range(3):
            # What is longer than that was said by this very attempt.
            said = letters(await said_before(provider, attempt))
            await tab.until_longer(len(said) + rng.randint(1, 60))
            await killed(tab, server)
            await continued(tab)
        await tab.until_ended()
        assert await tab.assert_exact() == answer(WORDS)
        assert (await tab.snapshot())["messages"][-1]["metadata"]["attempts"] == 4


@pytest.mark.promise("one-clean-answer", "takeover")
async def test_a_step_that_is_written_anew_is_shown_once(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with FakeProvider() as provider, serving(tmp_path, counting(provider, "none")) as server:
        *killed_attempts, last = (f"tokens={WORDS},rate=80,word={word}" for word in ATTEMPTS)
        provider.plan(*(f"{each},stall_after=40" for each in killed_attempts), last)
        tab = await ChatPage.open(context, server.url)
        await tab.send("Count")
        for word in ATTEMPTS[:-1]:
            # Its own words: those of the attempt before it still stand there for a while.
            await tab.until_shown(answer(20, word))
            await killed(tab, server)
            await continued(tab)
        await tab.until_ended()
        assert await tab.assert_exact(resets=2) == answer(WORDS, ATTEMPTS[-1])
        assert (await tab.watched()).shrunk == []
        losses = (await tab.watched()).losses
        wholes = [letters(answer(WORDS, word)) for word in ATTEMPTS]
        for loss, (before, now) in zip(losses, pairwise(wholes), strict=True):
            assert before.startswith(loss["before"])
            assert now.startswith(loss["now"])


@pytest.mark.promise("outbox")
async def test_a_message_for_a_server_that_is_down_is_sent_when_it_is_back(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with serving(tmp_path, {**DEMO, PACE: "0"}) as server:
        tab = await ChatPage.open(context, server.url)
        await server.kill()
        await expect(tab.banner).to_have_attribute("data-kind", "down")
        await tab.send("In short: are you there?")
        await expect(tab.questions).to_contain_text("In short: are you there?")
        await expect(tab.page.get_by_text("Waits here and is sent by itself.")).to_be_visible()
        await server.start()
        await tab.until_ended()
        await tab.assert_exact()
        assert len(await tab.history()) == 2


@pytest.mark.promise("lost-tail-is-told")
async def test_a_server_that_lost_its_store_is_said_and_a_new_chat_can_begin(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with serving(tmp_path, DEMO) as server:
        tab = await ChatPage.open(context, server.url)
        await tab.send("Tell me of logs")
        await tab.until_longer(60)
        await server.kill()
        for file in await asyncio.to_thread(lambda: list(tmp_path.glob("chats.db*"))):
            file.unlink()
        await server.start()
        await tab.network_is_back()
        screen = tab.page.get_by_test_id("problem-screen")
        await expect(screen).to_contain_text("There is no such chat here")
        await expect(tab.rows).to_have_count(0)
        await screen.get_by_role("button", name="New chat").click()
        await tab.send("In short: and now?")
        await tab.until_ended()
        await tab.assert_exact(mounts=None)
