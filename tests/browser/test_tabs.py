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


async def followed(asking: ChatPage, others: list[ChatPage], app: App) -> None:
    """Asked in one place, read in all: the question, the answer while it comes, and its end."""
    app.script.pieces = WORDS
    app.script.hold()
    await asking.send("Second")
    app.script.allow(20)
    for each in [asking, *others]:
        await expect(each.questions).to_have_text(["First", "Second"])
        await each.until_shown("".join(WORDS[:20]))
        await expect(each.live).to_have_count(1)
    app.script.free()
    for each in [asking, *others]:
        await each.until_ended()
        assert await each.assert_exact() == SAID


@pytest.mark.promise("prefix")
async def test_all_tabs_and_devices_show_an_answer_that_one_asked_for(
    tab: ChatPage, app: App, context: BrowserContext, device: NewDevice
) -> None:
    await tab.ask("First")
    async with device() as phone:
        await phone.add_cookies(await context.cookies())  # type: ignore[arg-type]  # as they came
        second = await ChatPage.open(context, app.url, tab.path)
        elsewhere = await ChatPage.open(phone, app.url, tab.path)
        await followed(second, [tab, elsewhere], app)


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


@pytest.mark.promise("feed")
async def test_eight_tabs_share_one_feed_and_another_reads_it_when_its_reader_closes(
    tab: ChatPage, app: App, context: BrowserContext
) -> None:
    await tab.ask("First")
    others = [await ChatPage.open(context, app.url, tab.path) for _ in range(7)]
    await until(lambda: len(app.shared.streams) == 1)
    await tab.page.close()
    await followed(others[0], others[1:], app)
    ninth = await ChatPage.open(context, app.url, others[0].path)
    await ninth.until_ended()
    assert await ninth.assert_exact() == SAID
    await until(lambda: len(app.shared.streams) == 1)
