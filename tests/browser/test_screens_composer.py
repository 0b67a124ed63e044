"""The message box: its keys, its height, its drafts (without storage, too), and the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.processes import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_enter_sends_shift_enter_makes_a_line_and_white_space_is_no_message(
    tab: ChatPage,
) -> None:
    await tab.composer.fill("  \n ")
    await expect(tab.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await tab.composer.press("Enter")
    await expect(tab.questions).to_have_count(0)
    await tab.composer.fill("one")
    await tab.composer.press("Shift+Enter")
    await tab.composer.press_sequentially("two")
    await expect(tab.composer).to_have_value("one\ntwo")
    await tab.composer.press("Enter")
    await tab.until_ended()
    assert (await tab.history())[0] == ("user", "one\ntwo")


async def test_enter_that_ends_a_composition_does_not_send(
    tab: ChatPage, context: BrowserContext
) -> None:
    keyboard = await context.new_cdp_session(tab.page)
    await tab.composer.focus()
    composed = {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
    await keyboard.send("Input.imeSetComposition", composed)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    await keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    await keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    await keyboard.send("Input.insertText", {"text": "日本"})
    await expect(tab.composer).to_have_value("日本")
    # Safari ends the composition first and sends the key afterwards; only its code shows it.
    await tab.composer.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
    await expect(tab.composer).to_have_value("日本")
    await expect(tab.questions).to_have_count(0)
    await tab.composer.press("Enter")
    await expect(tab.questions).to_have_text(["日本"])


async def test_the_box_grows_with_its_text_up_to_a_limit(tab: ChatPage) -> None:
    async def height() -> float:
        box = await tab.composer.bounding_box()
        assert box is not None
        return box["height"]

    one = await height()
    await tab.composer.fill("1\n2\n3\n4")
    four = await height()
    assert four > one + 60
    await tab.composer.fill("\n".join(map(str, range(200))))
    assert four < await height() <= 240
    await tab.composer.press("ControlOrMeta+End")
    scrolled: int = await tab.composer.evaluate("(box) => box.scrollTop")
    assert scrolled > 0
    await tab.composer.press("Enter")
    await expect(tab.composer).to_have_value("")
    assert await height() == one


@pytest.mark.promise("outbox")
async def test_each_chat_keeps_its_draft_over_reloads(tab: ChatPage) -> None:
    await tab.ask("First chat")
    await tab.composer.fill("draft of the first")
    await tab.button("New chat").click()
    await expect(tab.composer).to_have_value("")
    await tab.composer.fill("draft of a new one")
    await tab.row("First chat").get_by_role("link").click()
    await expect(tab.composer).to_have_value("draft of the first")
    await tab.composer.fill("draft of the first, longer")
    await tab.page.reload()
    await expect(tab.composer).to_have_value("draft of the first, longer")
    await tab.goto("/")
    await expect(tab.composer).to_have_value("draft of a new one")
    await tab.ask("another")
    await tab.goto("/")
    await expect(tab.composer).to_have_value("")


@pytest.mark.promise("outbox")
async def test_what_is_written_during_an_answer_waits_and_can_be_taken_back(
    tab: ChatPage, app: App
) -> None:
    await tab.begin(app, "First")
    await expect(tab.focused).to_have_attribute("aria-label", "Message")
    for letter in "Second":
        await tab.page.keyboard.type(letter)
        if letter == "c":
            app.script.allow(1)
            await tab.until_shown("Hello, ")
    await tab.page.keyboard.press("Enter")
    await expect(tab.waiting).to_contain_text("Second")
    await expect(tab.waiting).to_contain_text("Is sent when this answer ends.")
    await expect(tab.composer).to_have_value("")
    await tab.send("Third")
    await tab.send("Fourth")
    await expect(tab.waiting).to_have_count(3)
    await tab.waiting.nth(1).get_by_role("button", name="Discard").click()
    await tab.waiting.nth(1).get_by_role("button", name="Edit").click()
    await expect(tab.waiting).to_have_count(1)
    await expect(tab.composer).to_have_value("Fourth")
    assert len(app.script.prompts) == 1
    app.script.free()
    await expect(tab.answers).to_have_count(2)
    await tab.until_ended()
    said = [text for role, text in await tab.history() if role == "user"]
    assert said == ["First", "Second"]
    await expect(tab.composer).to_have_value("Fourth")
    await expect(tab.composer).to_be_focused()
    await expect(tab.waiting).to_have_count(0)
    await tab.assert_exact()


async def test_the_chosen_model_is_used_and_remembered(tab: ChatPage) -> None:
    await tab.button("Model: Small").click()
    await tab.page.get_by_role("menuitemradio", name="Large").click()
    await tab.ask("Who are you?")
    assert (await tab.snapshot())["messages"][-1]["metadata"]["model"] == "large"
    await tab.page.reload()
    await expect(tab.button("Model: Large")).to_be_visible()
    await tab.answer.get_by_role("button", name="About this answer").click()
    await expect(tab.page.get_by_role("dialog", name="About this answer")).to_contain_text("large")


async def test_the_demo_says_that_it_is_one_and_how_to_set_a_key(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with serving(tmp_path) as server:
        tab = await ChatPage.open(context, server.url)
        mark = tab.page.get_by_test_id("demo-mark")
        await expect(mark).to_contain_text("Demo answers: no model is set up.")
        await mark.click()
        for name in ("OPENROUTER_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
            await expect(tab.dialog).to_contain_text(name)
        await tab.page.keyboard.press("Escape")
        await expect(tab.dialog).to_have_count(0)
        await expect(mark).to_be_focused()


FILL = """() => {
  let size = 4_000_000;
  for (let n = 0; size >= 1; n++) {
    try { localStorage.setItem(`filler${n}`, "x".repeat(size)); }
    catch { size = Math.floor(size / 2); }
  }
}"""


async def test_a_full_storage_is_reported_and_nothing_stops_working(tab: ChatPage) -> None:
    await tab.page.evaluate(FILL)
    await tab.composer.fill("a draft " * 20)
    await expect(tab.banner).to_contain_text("storage is full")
    await tab.ask("Hi")
    await tab.composer.fill("the draft of one chat")
    await tab.button("New chat").click()
    await expect(tab.composer).to_have_value("")
    await tab.row("Hi").get_by_role("link").click()
    await expect(tab.composer).to_have_value("the draft of one chat")
    await tab.page.evaluate("() => localStorage.removeItem('filler0')")
    await tab.composer.fill("the draft again")
    await expect(tab.banner).to_have_count(0)
    await tab.page.reload()
    await expect(tab.composer).to_have_value("the draft again")


FORBID = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, {
    get() { throw new DOMException("The operation is insecure.", "SecurityError"); },
  });
}
"""


async def test_without_any_storage_the_whole_chat_works(app: App, context: BrowserContext) -> None:
    await context.add_init_script(FORBID)
    tab = await ChatPage.open(context, app.url)
    await expect(tab.banner).to_contain_text("keeps nothing")
    await tab.ask("Hi")
    await tab.composer.fill("a draft")
    await tab.button("New chat").click()
    await expect(tab.composer).to_have_value("")
    await tab.composer.fill("another")
    await tab.row("Hi").get_by_role("link").click()
    await expect(tab.composer).to_have_value("a draft")
    await tab.button("Theme:").click()
    await tab.page.get_by_role("menuitemradio", name="Dark").click()
    await expect(tab.page.locator("html")).to_have_class("dark")
    await tab.assert_nothing_lost()
