"""By keyboard alone: shortcuts, the palette, where the focus goes, and what Escape means."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def leave_the_box(tab: ChatPage) -> None:
    """Have the focus nowhere in particular."""
    await tab.composer.evaluate("(box) => box.blur()")


async def test_every_shortcut_of_the_list_does_what_it_says(tab: ChatPage, app: App) -> None:
    keyboard, page = tab.page.keyboard, tab.page
    await tab.add_chats(["Older", "Newer"])
    await expect(tab.rows).to_have_count(2)
    await leave_the_box(tab)
    await keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keyboard shortcuts")
    keys = "Ctrl+K Ctrl+Shift+O Ctrl+B Alt+↑ Alt+↓ / Enter Shift+Enter Esc ?"
    await expect(listed.get_by_role("definition")).to_have_text(keys.split())
    await keyboard.press("Escape")
    await expect(listed).to_have_count(0)

    await keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Search and commands")
    await expect(palette.get_by_role("combobox")).to_be_focused()
    await keyboard.press("Control+k")
    await expect(palette).to_have_count(0)

    for arrow, title in (("Down", "Newer"), ("Down", "Older"), ("Up", "Newer")):
        await keyboard.press(f"Alt+Arrow{arrow}")
        await expect(page).to_have_title(re.compile(rf"^(● )?{title}$"))

    await keyboard.press("Control+Shift+O")
    await expect(page).to_have_url(f"{tab.url}/")
    await keyboard.press("Control+b")
    await expect(page.get_by_role("complementary")).to_have_count(0)
    await keyboard.press("Control+b")
    await expect(page.get_by_role("complementary")).to_have_count(1)

    await leave_the_box(tab)
    await keyboard.press("/")
    await expect(tab.composer).to_be_focused()
    await keyboard.type("/?")  # in a box they are letters
    await expect(tab.composer).to_have_value("/?")

    app.script.hold()
    await keyboard.press("Enter")
    app.script.allow(1)
    await tab.until_shown("Hello")
    await keyboard.press("Escape")
    await tab.until_ended("stopped")


async def open_palette(tab: ChatPage) -> None:
    await tab.page.keyboard.press("Control+k")
    await expect(tab.page.get_by_role("combobox")).to_be_focused()


async def test_the_palette_finds_chats_by_title_and_runs_commands(tab: ChatPage) -> None:
    await tab.add_chats([f"Subject {number:02}" for number in range(60)])
    await tab.goto("/")
    keyboard, page = tab.page.keyboard, tab.page
    await open_palette(tab)
    await keyboard.type("chat-60-3")  # an id, which is not visible
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    await page.get_by_role("combobox").fill("subject 03")  # beyond the list's first page
    await expect(page.get_by_role("option")).to_have_text(["Subject 03"])
    await expect(page.get_by_role("option")).to_have_attribute("aria-selected", "true")
    await keyboard.press("Enter")
    await expect(page).to_have_title(re.compile(r"^(● )?Subject 03$"))
    await expect(tab.dialog).to_have_count(0)
    await open_palette(tab)
    await keyboard.type("theme: dark")
    await keyboard.press("Enter")
    await expect(page.locator("html")).to_have_class("dark")
    await open_palette(tab)
    await keyboard.type("keyboard")
    await keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await keyboard.press("Escape")
    await expect(tab.composer).to_be_focused()


TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


async def test_the_focus_goes_where_one_expects_it(tab: ChatPage) -> None:
    keyboard = tab.page.keyboard
    await expect(tab.composer).to_be_focused()
    await tab.ask("Hi")
    await expect(tab.composer).to_be_focused()

    commands = tab.button("Search and commands")
    await commands.focus()
    await keyboard.press("Enter")
    await expect(tab.page.get_by_role("combobox")).to_be_focused()
    await tab.page.evaluate(TWO_FRAMES)  # no hand is quicker than that
    await keyboard.press("Escape")
    await expect(commands).to_be_focused()

    about = tab.answer.get_by_role("button", name="About this answer")
    await about.focus()
    await keyboard.press("Enter")
    await expect(tab.dialog).to_be_visible()
    await keyboard.press("Escape")
    await expect(about).to_be_focused()

    for end in ("Escape", "Enter"):
        await rename_by_keyboard(tab, "Hi")
        await keyboard.press(end)
        await expect(tab.title_box).to_have_count(0)
        await expect(tab.row("Hi").locator(":focus")).to_have_count(1)

    options = tab.row("Hi").get_by_role("button", name="Options of")
    await options.focus()
    await keyboard.press("Enter")
    await expect(tab.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    await keyboard.press("Escape")
    await expect(options).to_be_focused()

    await keyboard.press("Control+Shift+O")
    await expect(tab.composer).to_be_focused()


async def rename_by_keyboard(tab: ChatPage, title: str) -> None:
    await tab.row(title).get_by_role("button", name="Options of").focus()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(tab.title_box).to_be_focused()


async def test_the_first_tab_stop_leads_to_the_message_box(tab: ChatPage) -> None:
    await tab.ask("Hi")
    await tab.page.reload()
    await tab.button("New chat").focus()
    await tab.page.keyboard.press("Shift+Tab")
    skip = tab.page.get_by_role("link", name="Skip to the message box")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await tab.page.keyboard.press("Enter")
    await expect(tab.composer).to_be_focused()
    await tab.page.keyboard.type("x")
    await expect(tab.composer).to_have_value("x")


async def test_escape_closes_what_is_open_before_it_stops_the_answer(
    tab: ChatPage, app: App
) -> None:
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        arrived.set()
        await let_go.wait()
        await route.continue_()

    keyboard, page = tab.page.keyboard, tab.page
    await page.route("**/assets/palette-*.js", late)
    await tab.ask("First")
    await page.reload()  # and the palette has not come when it is asked for
    app.script.hold()
    app.script.allow(1)
    await tab.ask_until("Second", "Hello")
    await keyboard.press("Control+k")
    await until(arrived.is_set)
    await keyboard.press("Escape")
    let_go.set()
    app.script.allow(1)
    await tab.until_shown("Hello, ")
    await expect(tab.dialog).to_have_count(0)

    await tab.button("Model:").click()
    await expect(page.get_by_role("menu")).to_be_visible()
    await keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)
    await open_palette(tab)
    await keyboard.press("Escape")
    await expect(tab.dialog).to_have_count(0)
    await tab.answers.first.get_by_role("button", name="About this answer").click()
    await expect(tab.dialog).to_be_visible()
    await keyboard.press("Escape")
    await expect(tab.dialog).to_have_count(0)
    await rename_by_keyboard(tab, "First")
    await keyboard.press("Escape")
    await expect(tab.title_box).to_have_count(0)
    search = page.get_by_role("searchbox")
    await search.fill("first")
    await search.press("Escape")
    await expect(search).to_have_value("")

    await expect(tab.chat).to_have_attribute("data-status", "streaming")
    await expect(tab.state).not_to_have_attribute("data-kind", "stopping")
    assert (await tab.snapshot())["active_run"] is not None
    await tab.composer.press("Escape")
    await tab.until_ended("stopped")


WATCH_ANNOUNCEMENTS = """() => {
  window.said = [];
  const box = document.querySelector("[role=status]");
  new MutationObserver(() => window.said.push(box.textContent))
    .observe(box, { childList: true, subtree: true, characterData: true });
}"""


async def announcements(page: Page, last: str) -> list[str]:
    """The announcements since the previous call, up to an awaited sentence."""
    await until(
        lambda: page.evaluate("() => window.said.at(-1)"), lambda sentence: sentence == last
    )
    said: list[str] = await page.evaluate("() => window.said.splice(0)")
    return said


async def test_a_screen_reader_announces_states_and_never_tokens(tab: ChatPage, app: App) -> None:
    await tab.page.evaluate(WATCH_ANNOUNCEMENTS)
    app.script.pieces = tuple(f"token{number} " for number in range(200))
    await tab.ask("Count")
    said = await announcements(tab.page, "Answer complete.")
    assert said == ["Message sent.", "The assistant is answering.", "Answer complete."]
    live = tab.page.locator("[aria-live]:not([aria-live=off]), [role=status], [role=alert]")
    await expect(live).to_have_count(1)
    log = tab.page.get_by_role("log", name="Conversation")
    await expect(log).to_have_attribute("aria-live", "off")

    app.script.hold()
    app.script.allow(3)
    await tab.ask_until("Again", "token0 token1 token2")
    await expect(tab.answer).to_have_attribute("aria-busy", "true")
    await tab.page.context.set_offline(True)
    await tab.until_state("offline")
    await tab.page.context.set_offline(False)
    app.script.allow(1)
    await tab.until_shown("token0 token1 token2 token3")
    await tab.stop_button.click()
    await tab.until_ended("stopped")
    said = await announcements(tab.page, "Answer stopped.")
    assert said[:2] == ["Message sent.", "The assistant is answering."]
    assert said[-2:] == ["Connected again.", "Answer stopped."]
    assert len(said) == 5, said  # and one sentence about the loss
    await expect(tab.answer).to_have_attribute("aria-busy", "false")
    await expect(tab.page.get_by_role("article", name="You")).to_have_count(2)
    await expect(tab.page.get_by_role("article", name="Assistant")).to_have_count(2)


STEP = """() => {
  const element = document.activeElement;
  if (element === null || element === document.body) return null;
  const ringed = [element, element.closest("label"), element.closest(".composer")]
    .filter((each) => each !== null)
    .map((each) => getComputedStyle(each));
  const shown = ringed.some((style) =>
    (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
    || /(^|[^0-9.])[1-9][0-9.]*px/.test(style.boxShadow.replace(/rgba?\\([^)]*\\)/g, "")));
  element.dataset.reached = "";
  return { html: element.outerHTML.slice(0, 150), ring: shown };
}"""
NOT_REACHED = """() => [
  ...document.querySelectorAll("a[href], button, input, textarea, [tabindex='0']")]
  .filter((element) => !("reached" in element.dataset) && element.checkVisibility()
    && !element.disabled && element.tabIndex >= 0)
  .map((element) => element.outerHTML.slice(0, 150))"""


async def test_everything_is_reached_by_tab_and_shows_that_it_is(tab: ChatPage, app: App) -> None:
    app.script.pieces = ("```js\n", "1\n```\n\n[link](https://example.com)\n")
    await tab.ask("First")
    await tab.ask("Second")
    await tab.page.get_by_role("link", name="link").last.wait_for()
    await tab.composer.fill("x")
    await leave_the_box(tab)
    await tab.page.evaluate("() => { getSelection().setPosition(document.body, 0); }")
    stops = []
    for _ in range(80):
        await tab.page.keyboard.press("Tab")
        stop = await tab.page.evaluate(STEP)
        if stop is None:
            break
        stops.append(stop)
    assert len(stops) > 15
    assert [stop["html"] for stop in stops if not stop["ring"]] == []
    await expect(tab.focused).to_have_count(0)
    assert await tab.page.evaluate(NOT_REACHED) == []
