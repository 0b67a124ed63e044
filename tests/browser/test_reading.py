"""Read in one tab with a good network: nothing moves, and reloads lose nothing."""

from __future__ import annotations

import random

import pytest
from playwright.async_api import expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.scripted import numbered, speaking

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


async def test_who_reads_at_the_end_stays_there_and_elsewhere_is_not_moved(
    tab: ChatPage, app: App
) -> None:
    lines = tuple(f"This is paragraph number {number} of many.\n\n" for number in range(1, 121))
    app.script.pieces = lines
    jump = tab.button("Jump to latest")

    async def grow(said: int) -> None:
        app.script.allow()
        await tab.until_shown("".join(lines[:said]))

    await tab.begin(app, "At length", 60)
    for said in range(61, 73):
        await grow(said)
        assert await tab.below() <= 24
    before = await tab.scroll_up(600)
    await expect(jump).to_be_visible()
    for said in range(73, 85):
        await grow(said)
        assert abs(await tab.top() - before) <= 2
    await jump.click()
    await expect(jump).to_have_count(0)
    for said in range(85, 88):
        assert await tab.below() <= 24
        await grow(said)
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact()
    assert await tab.below() <= 24
    await expect(jump).to_have_count(0)
