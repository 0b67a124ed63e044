"""The list of chats: its order, its live titles, search, renaming, deleting, what is unread."""

from __future__ import annotations

import datetime as dt
import re
from itertools import product

import pytest
from playwright.async_api import BrowserContext, Route, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import NewDevice
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def status_of(tab: ChatPage, chat: str) -> int:
    """What the server answers to a request for a chat."""
    return (await tab.page.request.get(f"{tab.api}/api/chats/{chat}")).status


@pytest.mark.promise("feed")
async def test_what_another_device_does_is_seen_at_once(
    tab: ChatPage, context: BrowserContext, device: NewDevice
) -> None:
    await expect(tab.page.get_by_text("Your chats will appear here.")).to_be_visible()
    await tab.add_chats(["Mine", "Yours"])
    await expect(tab.titles).to_have_text(["Yours", "Mine"])
    async with device(storage_state=await context.storage_state()) as other:
        elsewhere = await ChatPage.open(other, tab.url)
        await elsewhere.rename("Yours")
        await elsewhere.title_box.fill("Renamed elsewhere")
        await elsewhere.page.keyboard.press("Enter")
        await expect(tab.titles).to_have_text(["Renamed elsewhere", "Mine"])
        await tab.row("Mine").get_by_role("link").click()
        await elsewhere.ask("Begun elsewhere")
        await expect(tab.rows.first).to_contain_text("Begun elsewhere")
        await tab.ask("Once more")
        await expect(tab.titles).to_have_text(["Mine", "Begun elsewhere", "Renamed elsewhere"])
        await tab.page.request.delete(f"{tab.api}/api/chats/{tab.chat_id}")
        for page in (tab, elsewhere):
            await expect(page.row("Mine")).to_have_count(0)
    await expect(tab.problem).to_contain_text("There is no such chat here")
    await tab.problem.get_by_role("button", name="New chat").click()
    await tab.ask("Again")
    assert await tab.assert_exact(mounts=None) == "Hello, world."


async def test_many_chats_come_page_by_page_and_the_server_searches_all(tab: ChatPage) -> None:
    await tab.add_chats([f"Question {number:03}" for number in range(120)])
    await tab.goto("/")
    await expect(tab.rows).to_have_count(50)
    search = tab.page.get_by_role("searchbox", name="Search chats")
    await search.fill("question 007")
    await expect(tab.titles).to_have_text(["Question 007"])
    await search.fill("no such title")
    await expect(tab.page.get_by_text("Nothing found.")).to_be_visible()
    await search.press("Escape")
    older = tab.button("Show older chats")
    await older.click()
    await expect(tab.rows).to_have_count(100)
    await older.click()
    await expect(tab.rows).to_have_count(120)
    await expect(older).to_have_count(0)
    await expect(tab.titles.last).to_have_text("Question 000")


FOCUS_PATH = """() => {
  window.focusPath = [];
  document.addEventListener("focusin", ({ target }) => {
    window.focusPath.push(target.getAttribute("role") ?? target.localName);
  });
}"""


async def test_a_chat_that_goes_to_another_day_keeps_the_title_that_is_being_written(
    tab: ChatPage,
) -> None:
    async def make_older(route: Route) -> None:
        response = await route.fetch()
        found = await response.json()
        day = (dt.datetime.now(dt.UTC) - dt.timedelta(days=5)).isoformat()
        found["chats"][-1]["updated_at"] = day
        await route.fulfill(json=found)

    chat, _ = await tab.add_chats(["Old title", "Other"])
    await tab.page.route("**/api/chats?*", make_older)
    await tab.page.reload()
    days = tab.page.get_by_role("navigation", name="Chats").get_by_role("heading")
    await expect(days).to_have_text(["Today", "Last 7 days"])
    await tab.rename("Old title")
    await tab.page.keyboard.type("New")
    await tab.post(chat, "And more?")
    await expect(days).to_have_text(["Today"])
    await tab.page.keyboard.type(" title")
    await expect(tab.title_box).to_have_value("New title")
    await tab.page.keyboard.press("Enter")
    await expect(tab.titles).to_have_text(["New title", "Other"])
    await expect(tab.row("New title").get_by_role("link")).to_be_focused()


async def test_the_focus_goes_from_the_menu_to_the_title_and_nowhere_between(
    tab: ChatPage, context: BrowserContext
) -> None:
    await tab.ask("Title")
    await tab.page.evaluate(FOCUS_PATH)
    slow = await context.new_cdp_session(tab.page)
    await slow.send("Emulation.setCPUThrottlingRate", {"rate": 8})
    places = (tab.row("Title"), tab.page.locator("header"))
    for around, end in product(places, ("Escape", "Enter")):
        await around.hover()
        await around.get_by_role("button", name="Options of").click()
        await tab.page.get_by_role("menuitem", name="Rename").click()
        await expect(tab.title_box).to_be_focused()
        await expect(tab.title_box).to_have_value("Title")
        path = await tab.page.evaluate("() => window.focusPath.splice(0)")
        assert path[-2:] == ["menuitem", "input"]
        await tab.page.keyboard.press(end)
        await expect(tab.title_box).to_have_count(0)


async def test_a_deleted_chat_is_back_when_that_is_undone_in_time_else_gone_for_good(
    tab: ChatPage,
) -> None:
    await tab.page.clock.install()
    [chat] = await tab.add_chats(["Chat"])
    toast = tab.page.get_by_test_id("toast")
    await tab.choose("Chat", "Delete")
    await expect(tab.rows).to_have_count(0)
    await toast.get_by_role("button", name="Undo").click()
    await expect(tab.titles).to_have_text(["Chat"])
    await tab.page.clock.fast_forward(20_000)
    await expect(toast).to_have_count(0)
    assert await status_of(tab, chat) == 200

    await tab.row("Chat").get_by_role("link").click()
    await tab.composer.fill("a draft that goes too")
    await tab.choose("Chat", "Delete")
    await expect(tab.page).to_have_url(f"{tab.url}/")
    await expect(tab.rows).to_have_count(0)
    assert await status_of(tab, chat) == 200
    await tab.page.clock.fast_forward(8_000)
    await until(lambda: status_of(tab, chat), lambda status: status == 404)
    await expect(toast).to_have_count(0)
    await until(lambda: tab.page.evaluate(DRAFTS), lambda drafts: drafts == [], "no draft")


DRAFTS = "() => Object.keys(localStorage).filter((key) => key.startsWith('dls:draft'))"


async def test_deleting_does_not_wait_for_its_time_when_the_page_is_closed(
    tab: ChatPage, context: BrowserContext
) -> None:
    [gone] = await tab.add_chats(["Gone"])
    witness = await ChatPage.open(context, tab.url)
    await tab.choose("Gone", "Delete")
    await expect(tab.rows).to_have_count(0)
    await tab.page.close(run_before_unload=True)
    await until(lambda: status_of(witness, gone), lambda status: status == 404)
    await expect(witness.rows).to_have_count(0)


async def test_an_answer_that_ends_in_another_chat_is_marked_until_it_is_seen(
    tab: ChatPage, app: App
) -> None:
    await tab.begin(app, "Take your time")
    chat = tab.row("Take your time")
    await expect(chat).to_have_attribute("data-active", "true")
    await tab.button("New chat").click()
    await expect(tab.answers).to_have_count(0)
    await expect(chat).to_contain_text("answer is being written")
    app.script.free()
    await expect(chat).to_have_attribute("data-unread", "true")
    await expect(chat).to_contain_text("new answer")
    await expect(chat).not_to_have_attribute("data-active", "true")
    await expect(tab.page).to_have_title(re.compile("^● "))
    await expect(tab.page.get_by_test_id("announcer")).to_contain_text("Take your time")
    await tab.page.reload()
    await expect(chat).to_have_attribute("data-unread", "true")
    await chat.get_by_role("link").click()
    await tab.until_ended()
    await expect(chat).not_to_have_attribute("data-unread", "true")
    await expect(tab.page).not_to_have_title(re.compile("^● "))
    assert await tab.assert_exact(mounts=None) == "Hello, world."
    await tab.page.reload()
    await tab.until_ended()
    await expect(chat).not_to_have_attribute("data-unread", "true")


async def test_the_sidebar_stays_closed_when_it_was_closed(tab: ChatPage) -> None:
    await tab.button("Close sidebar").click()
    await expect(tab.page.get_by_role("complementary")).to_have_count(0)
    await tab.goto("/")
    await expect(tab.page.get_by_role("complementary")).to_have_count(0)
    await tab.button("Toggle sidebar").click()
    await expect(tab.page.get_by_role("complementary", name="Chats")).to_be_visible()
