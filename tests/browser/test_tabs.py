"""Several tabs, and several devices of one visitor."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.scripted import numbered
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = numbered(60)
SAID = "".join(WORDS)
HERE = Path(__file__).parent


@pytest.mark.promise("stop")
async def test_stop_in_one_tab_stops_all_and_nothing_grows_back(
    tab: ChatPage, app: App, context: BrowserContext
) -> None:
    app.script.pieces = WORDS
    await tab.begin(app, "Count", 10)
    other = await ChatPage.open(context, app.url, tab.path)
    await other.until_shown("".join(WORDS[:10]))
    await other.stop_button.click()
    for each in (tab, other):
        await each.until_ended("stopped")
        await expect(each.page.get_by_test_id("ending")).to_have_text("Stopped.")
        assert await each.assert_exact() == "".join(WORDS[:10])
    app.script.free()
    await tab.page.reload()
    await tab.until_ended("stopped")
    await expect(tab.page.get_by_test_id("ending")).to_have_text("Stopped.")
    await expect(tab.stop_button).to_have_count(0)
    assert await tab.assert_exact() == "".join(WORDS[:10])


async def test_eight_tabs_with_a_live_answer_stay_usable(app: App, context: BrowserContext) -> None:
    await context.add_init_script(path=HERE / "visibility.js")
    app.script.pieces = WORDS
    app.script.hold()
    tabs = [await ChatPage.open(context, app.url)]
    await tabs[0].send("Count")
    app.script.allow(10)
    await tabs[0].until_shown("".join(WORDS[:10]))
    for _ in range(7):
        await tabs[-1].page.evaluate("() => setVisibility('hidden')")
        tabs.append(await ChatPage.open(context, app.url, tabs[0].path))
        await tabs[-1].until_shown("".join(WORDS[:10]))
    await tabs[-1].stop_button.click()
    await tabs[-1].until_ended("stopped")
    for each in tabs:
        await each.page.evaluate("() => setVisibility('visible')")
        await each.until_ended("stopped")
        assert await each.assert_exact() == "".join(WORDS[:10])


@pytest.mark.promise("feed", "prefix")
async def test_tabs_share_one_feed_and_all_devices_show_what_one_asked_for(
    tab: ChatPage, app: App, context: BrowserContext, device: NewDevice
) -> None:
    await tab.ask("First")
    tabs = [tab, *[await ChatPage.open(context, app.url, tab.path) for _ in range(7)]]
    await until(lambda: len(app.shared.streams) == 1)
    await tabs[-1].send("Second")
    for each in tabs:
        await expect(each.answers).to_have_count(2)
        await each.until_ended()
    for each in tabs[:6]:  # the first one reads the feed
        await each.page.close()
    async with device(storage_state=await context.storage_state()) as phone:
        readers = [*tabs[6:], await ChatPage.open(phone, app.url, tabs[-1].path)]
        app.script.pieces = WORDS
        app.script.hold()
        await readers[0].send("Third")
        app.script.allow(20)
        for each in readers:
            await expect(each.questions).to_have_text(["First", "Second", "Third"])
            await each.until_shown("".join(WORDS[:20]))
            await expect(each.live).to_have_count(1)
        app.script.free()
        for each in readers:
            await each.until_ended()
            assert await each.assert_exact() == SAID
    await until(lambda: len(app.shared.streams) == 1)
