"""On a phone, and magnified: nothing scrolls sideways, fingers hit what they aim at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.app import App
from tests.browser.chat_page import HAND, PHONE, ChatPage
from tests.browser.conftest import NewDevice

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: CSS pixels.
FINGER = 40

WIDE = (
    "A " + "very" * 60 + "long word and https://example.com/" + "path/" * 40,
    "\n\n```js\n" + "x".ljust(300, "y") + "\n```\n\n",
    "|" + "a column|" * 12 + "\n|" + "-|" * 12 + "\n|" + "cell with words|" * 12 + "\n\n",
    "$$\n" + "a_{1} + " * 60 + "b\n$$\n",
)


async def fits_its_width(page: Page) -> None:
    """Nothing makes the page scroll sideways, and nothing that can be pressed is outside of it."""
    overflow = await page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          const wide = [document.documentElement, document.body,
            ...document.querySelectorAll("main, header, form, [role=log], [data-testid=scroller]")]
            .filter((element) => element.scrollWidth > element.clientWidth + 1)
            .map((element) => element.outerHTML.slice(0, 120));
          const outside = [...document.querySelectorAll("main button, main a, main textarea")]
            .filter((element) => {
              const box = element.getBoundingClientRect();
              return box.width > 0 && !element.closest(".md-code, .md-table, .sr-only")
                && !element.matches(".sr-only") && (box.left < -1 || box.right > width + 1);
            })
            .map((element) => element.outerHTML.slice(0, 120));
          return { wide, outside };
        }"""
    )
    assert overflow == {"wide": [], "outside": []}


@pytest_asyncio.fixture(loop_scope="session")
async def phone(device: NewDevice, app: App) -> AsyncIterator[ChatPage]:
    """A tab of a phone."""
    async with device(**HAND) as context:
        yield await ChatPage.open(context, app.url)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({**HAND, "viewport": {"width": 320, "height": 568}}, id="320 px wide"),
        pytest.param({"viewport": {"width": 640, "height": 400}}, id="zoom 200 %"),
    ],
)
async def test_no_screen_scrolls_sideways(
    device: NewDevice, app: App, options: dict[str, Any]
) -> None:
    async with device(**options) as context:
        tab = await ChatPage.open(context, app.url)
        await fits_its_width(tab.page)
        app.script.pieces = WIDE
        await tab.ask("Question " + "w" * 200)
        await fits_its_width(tab.page)
        app.script.hold()
        app.script.allow(1)
        await tab.ask_until("Another", WIDE[0][:20])
        await tab.send("Waits " + "w" * 200)
        await expect(tab.waiting).to_have_count(1)
        await fits_its_width(tab.page)
        await tab.waiting.get_by_role("button", name="Discard").click()
        await tab.stop_button.click()
        await tab.until_ended("stopped")
        await tab.questions.last.get_by_role("button", name="Edit message").click()
        await fits_its_width(tab.page)
        await tab.page.keyboard.press("Escape")
        await tab.page.goto(f"{tab.url}/c/no-such-chat")
        await expect(tab.problem).to_be_visible()
        await fits_its_width(tab.page)
        await tab.page.keyboard.press("Control+k")
        await expect(tab.dialog).to_be_visible()
        await expect(tab.dialog).to_be_in_viewport(ratio=1)


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
    await phone.ask("Hi")
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
    await phone.begin(app, "Again", 2)
    await hits(phone)
    app.script.free()
