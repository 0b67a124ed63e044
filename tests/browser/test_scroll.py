"""The position belongs to the reader: at the end it stays there, anywhere else it does not move."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.screens_support import begin

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINES = tuple(f"This is paragraph number {number} of many.\n\n" for number in range(1, 121))
FIRST = 60


async def top(tab: ChatPage) -> float:
    """Pixels above what is seen."""
    position: float = await tab.scroller.evaluate("(view) => view.scrollTop")
    return position


async def below(tab: ChatPage) -> float:
    """Pixels below what is seen."""
    await tab.page.evaluate("() => window.watched.painted()")
    distance: float = await tab.scroller.evaluate(
        "(view) => view.scrollHeight - view.scrollTop - view.clientHeight"
    )
    return distance


async def reading(tab: ChatPage, app: App) -> None:
    """The first half of a long answer."""
    app.script.pieces = LINES
    await begin(tab, app, "At length", FIRST)


async def test_who_reads_at_the_end_stays_there(tab: ChatPage, app: App) -> None:
    await reading(tab, app)
    for said in range(FIRST + 1, FIRST + 13):
        app.script.allow()
        await tab.until_shown("".join(LINES[:said]))
        assert await below(tab) <= 24
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact()
    assert await below(tab) <= 24
    await expect(tab.page.get_by_role("button", name="Jump to latest")).to_have_count(0)


async def test_who_scrolled_up_is_not_moved_and_can_jump_back(tab: ChatPage, app: App) -> None:
    await reading(tab, app)
    await tab.scroller.hover()
    await tab.page.mouse.wheel(0, -600)
    jump = tab.page.get_by_role("button", name="Jump to latest")
    await expect(jump).to_be_visible()
    await tab.page.evaluate("() => window.watched.settled()")
    before = await top(tab)
    for said in range(FIRST + 1, FIRST + 13):
        app.script.allow()
        await tab.until_shown("".join(LINES[:said]))
        assert abs(await top(tab) - before) <= 2
    await jump.click()
    await expect(jump).to_have_count(0)
    assert await below(tab) <= 24
    app.script.allow(5)
    await tab.until_shown("".join(LINES[: FIRST + 17]))
    assert await below(tab) <= 24
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact()
