"""The position belongs to the reader: at the end it stays there, anywhere else it does not move."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.app import App
from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINES = tuple(f"This is paragraph number {number} of many.\n\n" for number in range(1, 121))
FIRST = 60


async def test_who_reads_at_the_end_stays_there(tab: ChatPage, app: App) -> None:
    app.script.pieces = LINES
    await tab.begin(app, "At length", FIRST)
    for said in range(FIRST + 1, FIRST + 13):
        app.script.allow()
        await tab.until_shown("".join(LINES[:said]))
        assert await tab.below() <= 24
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact()
    assert await tab.below() <= 24
    await expect(tab.button("Jump to latest")).to_have_count(0)


async def test_who_scrolled_up_is_not_moved_and_can_jump_back(tab: ChatPage, app: App) -> None:
    app.script.pieces = LINES
    await tab.begin(app, "At length", FIRST)
    before = await tab.scroll_up(600)
    jump = tab.button("Jump to latest")
    await expect(jump).to_be_visible()
    for said in range(FIRST + 1, FIRST + 13):
        app.script.allow()
        await tab.until_shown("".join(LINES[:said]))
        assert abs(await tab.top() - before) <= 2
    await jump.click()
    await expect(jump).to_have_count(0)
    assert await tab.below() <= 24
    app.script.allow(5)
    await tab.until_shown("".join(LINES[: FIRST + 17]))
    assert await tab.below() <= 24
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact()
