"""The server is killed or restarted during an answer, and the page continues."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext

from tests.browser.chat_page import ChatPage, letters
from tests.fake_provider import FakeProvider, answer
from tests.processes import ServerProcess, serving

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
    """SIGKILL; the text so far stays, and the page shows the error; then the next process."""
    before = await tab.shown()
    await server.kill()
    await tab.until_state("reconnecting")
    assert (await tab.shown()).startswith(before)
    server.environment[PACE] = pace
    await server.start()


async def continued(tab: ChatPage) -> None:
    """Continue, without the rest of the pause."""
    await tab.network_is_back()
    await tab.until_state("taken-over")


@pytest.mark.promise("takeover", "prefix", "hand-over", "seen-is-durable")
async def test_the_demo_continues_after_a_planned_restart_and_after_kills(
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
