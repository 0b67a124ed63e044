"""Ask and read, in one tab with a good network; and load the page again in the midst of it."""

from __future__ import annotations

import random

import pytest
from playwright.async_api import BrowserContext, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.scripted import numbered, speaking
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = numbered(60)


async def test_nothing_moves_while_an_answer_is_written_and_ends(tab: ChatPage, app: App) -> None:
    app.script.pieces = WORDS
    async with speaking(app.script, every=0.02):
        await tab.send("Count")
        await tab.until_ended()
    assert await tab.assert_exact() == "".join(WORDS)
    assert await tab.copied(tab.questions.first) == "Count"
    await tab.assert_still()


async def test_a_question_is_seen_before_the_server_says_anything(
    app: App, context: BrowserContext
) -> None:
    async with TcpProxy(app.address[1]) as proxy:
        tab = await ChatPage.open(context, proxy.url, api=app.url)
        await proxy.set("hang")
        await tab.send("Are you there?")
        await expect(tab.questions).to_have_text("Are you there?")
        await expect(tab.page.get_by_test_id("awaited")).to_be_visible()
        await expect(tab.composer).to_have_value("")
        await proxy.set("pass")
        await tab.until_ended()
        await tab.assert_exact()
        assert [role for role, _ in await tab.history()] == ["user", "assistant"]


@pytest.mark.promise("prefix")
async def test_an_answer_stands_there_at_once_after_each_of_many_reloads(
    tab: ChatPage, app: App
) -> None:
    app.script.pieces = WORDS
    app.script.hold()
    await tab.send("Count")
    await expect(tab.page.get_by_test_id("thinking")).to_be_visible()
    await tab.page.reload()  # before the first word
    await expect(tab.page.get_by_test_id("thinking")).to_be_visible()
    rng = random.Random(5)
    said = 0
    for _ in range(6):
        pieces = rng.randint(1, 9)
        app.script.allow(pieces)
        said += pieces
        await tab.until_shown("".join(WORDS[:said]))
        await tab.reload()
        await tab.until_state("resumed")
        await expect(tab.questions).to_have_text("Count")
    app.script.free()
    await tab.until_ended()
    assert await tab.assert_exact() == "".join(WORDS)
