"""On a phone: the drawer, its keyboard, and fingers that hit what they aim at."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.app import HELLO, App
from tests.browser.chat_page import HAND, PHONE, ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.test_a11y import TOO_WIDE

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: CSS pixels.
FINGER = 40


@pytest_asyncio.fixture(loop_scope="session")
async def phone(device: NewDevice, app: App) -> AsyncIterator[ChatPage]:
    """A tab of a phone."""
    async with device(**HAND) as context:
        yield await ChatPage.open(context, app.url)


TOO_SMALL = """(finger) => [...(document.querySelector("[role=dialog]") ?? document)
  .querySelectorAll("button, a[href], [role=menuitem]")]
  .filter((element) => element.checkVisibility({ opacityProperty: true })
    && !element.closest(".sr-only") && !element.matches(".sr-only, .md a"))
  .map((element) => [element, element.getBoundingClientRect()])
  // Half a pixel less while something slides in.
  .filter(([, box]) => Math.round(box.width) < finger || Math.round(box.height) < finger)
  .map(([element, box]) => `${Math.round(box.width)}x${Math.round(box.height)} `
    + (element.getAttribute("aria-label") ?? element.textContent).slice(0, 40))"""


async def hits(tab: ChatPage) -> None:
    """Fingers hit what can be pressed here."""
    assert await tab.page.evaluate(TOO_SMALL, FINGER) == []


async def test_the_drawer_opens_by_its_button_and_closes_in_each_usual_way(
    phone: ChatPage, app: App
) -> None:
    page = phone.page
    opener = phone.button("Toggle sidebar")
    drawer = page.get_by_role("dialog", name="Chats")
    search, title = drawer.get_by_role("searchbox"), drawer.get_by_role("textbox", name="Title")
    await expect(phone.composer).not_to_be_focused()  # or the keyboard would open by itself
    # Phones zoom into a field whose letters are smaller than 16 px.
    await expect(phone.composer).to_have_css("font-size", "16px")
    await hits(phone)
    app.script.pieces = ("$$\n" + "a_{1} + " * 60 + "b\n$$\n",)
    await phone.ask("Hi")
    await expect(phone.answer.locator(".katex-display")).to_be_visible()
    assert await page.evaluate(TOO_WIDE) == []
    await hits(phone)

    await opener.tap()
    await expect(search).to_have_css("font-size", "16px")
    await hits(phone)
    await drawer.get_by_role("button", name="Options of").tap()
    await page.get_by_role("menuitem", name="Rename").tap()
    await expect(title).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(title).to_have_count(0)
    await search.fill("hi")
    await search.press("Escape")
    await expect(search).to_have_value("")
    await expect(drawer).to_be_visible()
    await drawer.get_by_role("button", name="Close sidebar").tap()
    await expect(drawer).to_have_count(0)
    await opener.tap()
    await expect(drawer).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)
    await expect(opener).to_be_focused()
    await opener.tap()
    await expect(drawer).to_be_visible()
    await page.touchscreen.tap(PHONE["width"] - 10, 400)
    await expect(drawer).to_have_count(0)
    await opener.tap()
    await drawer.get_by_role("button", name="New chat").tap()
    await expect(drawer).to_have_count(0)
    await expect(page).to_have_url(f"{phone.url}/")
    await opener.tap()
    await drawer.get_by_role("link", name="Hi").tap()
    await expect(drawer).to_have_count(0)
    await expect(phone.questions).to_have_text(["Hi"])
    assert (await phone.snapshot())["active_run"] is None
    app.script.pieces = HELLO
    await phone.begin(app, "Again", 2)
    await hits(phone)
    app.script.free()
