"""What the browser keeps when its storage is full or forbidden."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, expect

from tests.app import App
from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILL = """() => {
  let size = 4_000_000;
  for (let n = 0; size >= 1; n++) {
    try { localStorage.setItem(`filler${n}`, "x".repeat(size)); }
    catch { size = Math.floor(size / 2); }
  }
}"""


async def test_a_full_storage_is_told_and_nothing_stops_working(tab: ChatPage) -> None:
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
