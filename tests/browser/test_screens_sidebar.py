"""The list of chats: its order, its live titles, search, renaming, deleting, what is unread."""

from __future__ import annotations

import datetime as dt
import re
from itertools import product

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.screens_support import (
    add_chats,
    ask,
    begin,
    choose,
    rename,
    row,
    title_box,
    titles,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def status_of(tab: ChatPage, chat: str) -> int:
    """What the server answers to a request for a chat."""
    return (await tab.page.request.get(f"{tab.api}/api/chats/{chat}")).status


async def test_the_chat_that_changed_last_comes_first(tab: ChatPage) -> None:
    await add_chats(tab, ["First", "Second", "Third"])
    await expect(titles(tab)).to_have_text(["Third", "Second", "First"])
    await row(tab, "First").get_by_role("link").click()
    await ask(tab, "Once more")
    await expect(titles(tab)).to_have_text(["First", "Third", "Second"])
    await expect(tab.page).to_have_title(re.compile("First$"))


async def test_chats_stand_below_the_day_of_their_last_change(tab: ChatPage) -> None:
    await add_chats(tab, ["Old"])
    now = dt.datetime.now().astimezone()
    for days, name in ((0, "Today"), (1, "Yesterday"), (5, "Last 7 days"), (20, "Last 30 days")):
        await tab.page.clock.set_fixed_time(now + dt.timedelta(days=days))
        await tab.page.reload()
        items = tab.page.get_by_role("navigation", name="Chats").get_by_role("listitem")
        await expect(items.first.get_by_role("heading")).to_have_text(name)
        await expect(items.nth(1)).to_contain_text("Old")
        await expect(items).to_have_count(2)


@pytest.mark.promise("feed")
async def test_what_another_device_does_is_seen_at_once(
    tab: ChatPage, context: BrowserContext, device: NewDevice
) -> None:
    await add_chats(tab, ["Mine", "Yours"])
    async with device(storage_state=await context.storage_state()) as other:
        elsewhere = await ChatPage.open(other, tab.url)
        await rename(elsewhere, "Yours")
        await title_box(elsewhere).fill("Renamed elsewhere")
        await elsewhere.page.keyboard.press("Enter")
        await expect(titles(tab)).to_have_text(["Renamed elsewhere", "Mine"])
        await ask(elsewhere, "Begun elsewhere")
        await expect(tab.rows.first).to_contain_text("Begun elsewhere")
        await tab.page.request.delete(f"{tab.api}/api/chats/chat-2-0")
        for page in (tab, elsewhere):
            await expect(row(page, "Mine")).to_have_count(0)


async def test_many_chats_come_page_by_page_and_the_server_searches_all(tab: ChatPage) -> None:
    await add_chats(tab, [f"Question {number:03}" for number in range(120)])
    await tab.goto("/")
    await expect(tab.rows).to_have_count(50)
    search = tab.page.get_by_role("searchbox", name="Search chats")
    await search.fill("question 007")
    await expect(titles(tab)).to_have_text(["Question 007"])
    await search.fill("no such title")
    await expect(tab.page.get_by_text("Nothing found.")).to_be_visible()
    await search.press("Escape")
    older = tab.page.get_by_role("button", name="Show older chats")
    await older.click()
    await expect(tab.rows).to_have_count(100)
    await older.click()
    await expect(tab.rows).to_have_count(120)
    await expect(older).to_have_count(0)
    await expect(titles(tab).last).to_have_text("Question 000")


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
        oldest = found["chats"].pop()
        await route.fulfill(
            json={**found, "chats": [*found["chats"], oldest | {"updated_at": day}]}
        )

    chat, _ = await add_chats(tab, ["Old title", "Other"])
    await tab.page.route("**/api/chats?*", make_older)
    await tab.page.reload()
    days = tab.page.get_by_role("navigation", name="Chats").get_by_role("heading")
    await expect(days).to_have_text(["Today", "Last 7 days"])
    await rename(tab, "Old title")
    await tab.page.keyboard.type("New")
    message = {"id": "more", "role": "user", "parts": [{"type": "text", "text": "And more?"}]}
    await tab.page.request.post(f"{tab.api}/api/chat", data={"id": chat, "message": message})
    await expect(days).to_have_text(["Today"])
    await tab.page.keyboard.type(" title")
    await expect(title_box(tab)).to_have_value("New title")
    await tab.page.keyboard.press("Enter")
    await expect(titles(tab)).to_have_text(["New title", "Other"])
    await expect(row(tab, "New title").get_by_role("link")).to_be_focused()


async def test_the_focus_goes_from_the_menu_to_the_title_and_nowhere_between(
    tab: ChatPage, context: BrowserContext
) -> None:
    await ask(tab, "Title")
    await tab.page.evaluate(FOCUS_PATH)
    slow = await context.new_cdp_session(tab.page)
    await slow.send("Emulation.setCPUThrottlingRate", {"rate": 8})
    places = (row(tab, "Title"), tab.page.locator("header"))
    for around, end in product(places, ("Escape", "Enter")):
        await around.hover()
        await around.get_by_role("button", name="Options of").click()
        await tab.page.get_by_role("menuitem", name="Rename").click()
        await expect(title_box(tab)).to_be_focused()
        await expect(title_box(tab)).to_have_value("Title")
        path = await tab.page.evaluate("() => window.focusPath.splice(0)")
        assert path[-2:] == ["menuitem", "input"]
        await tab.page.keyboard.press(end)
        await expect(title_box(tab)).to_have_count(0)


async def test_a_deleted_chat_is_back_when_that_is_undone_in_time(tab: ChatPage) -> None:
    await tab.page.clock.install()
    [kept] = await add_chats(tab, ["Kept"])
    await choose(tab, "Kept", "Delete")
    await expect(tab.rows).to_have_count(0)
    await tab.page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect(titles(tab)).to_have_text(["Kept"])
    await tab.page.clock.fast_forward(20_000)
    await expect(tab.page.get_by_test_id("toast")).to_have_count(0)
    assert await status_of(tab, kept) == 200


async def test_a_deleted_chat_is_gone_for_good_after_a_while(tab: ChatPage) -> None:
    await tab.page.clock.install()
    [gone] = await add_chats(tab, ["Gone"])
    await row(tab, "Gone").get_by_role("link").click()
    await tab.composer.fill("a draft that goes too")
    await choose(tab, "Gone", "Delete")
    await expect(tab.page).to_have_url(f"{tab.url}/")
    await expect(tab.rows).to_have_count(0)
    assert await status_of(tab, gone) == 200
    await tab.page.clock.fast_forward(8_000)
    await until(lambda: status_of(tab, gone), lambda status: status == 404)
    await expect(tab.page.get_by_test_id("toast")).to_have_count(0)
    drafts = await until(lambda: kept_drafts(tab.page), lambda kept: not kept)
    assert drafts == []


async def kept_drafts(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(
        "() => Object.keys(localStorage).filter((key) => key.startsWith('dls:draft'))"
    )
    return found


async def test_deleting_does_not_wait_for_its_time_when_the_page_is_closed(
    tab: ChatPage, context: BrowserContext
) -> None:
    [gone] = await add_chats(tab, ["Gone"])
    witness = await ChatPage.open(context, tab.url)
    await choose(tab, "Gone", "Delete")
    await expect(tab.rows).to_have_count(0)
    await tab.page.close(run_before_unload=True)
    await until(lambda: status_of(witness, gone), lambda status: status == 404)
    await expect(witness.rows).to_have_count(0)


async def test_an_answer_that_ends_in_another_chat_is_marked_until_it_is_seen(
    tab: ChatPage, app: App
) -> None:
    await begin(tab, app, "Take your time")
    chat = row(tab, "Take your time")
    await expect(chat).to_have_attribute("data-active", "true")
    await tab.page.get_by_role("button", name="New chat").click()
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


async def test_an_empty_list_says_so(tab: ChatPage) -> None:
    await expect(tab.page.get_by_text("Your chats will appear here.")).to_be_visible()


async def test_the_sidebar_stays_closed_when_it_was_closed(tab: ChatPage) -> None:
    await tab.page.get_by_role("button", name="Close sidebar").click()
    await expect(tab.page.get_by_role("complementary")).to_have_count(0)
    await tab.goto("/")
    await expect(tab.page.get_by_role("complementary")).to_have_count(0)
    await tab.page.get_by_role("button", name="Toggle sidebar").click()
    await expect(tab.page.get_by_role("complementary", name="Chats")).to_be_visible()
