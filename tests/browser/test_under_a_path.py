"""The interface under a path of a host, beside others; and a browser that sends no cookies."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs
from playwright.async_api import BrowserContext, Route, expect

from tests.app import CONFIG, HELLO, App, running_app
from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_COOKIES = (
    "This browser (or a proxy) does not send cookies to this server, so chats cannot be kept. "
    "Allow cookies for this site and reload."
)


async def test_a_chat_lives_under_the_path_of_its_server(
    tmp_path: Path, built: Path, context: BrowserContext
) -> None:
    config = structs.replace(CONFIG, base_path="/chat")
    async with running_app(tmp_path, config, ui=built) as below:
        page = await context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(below.url)))
        tab = ChatPage(page, f"{below.url}/chat")
        await tab.goto("/")
        await tab.ask("Hi")
        address = page.url.removeprefix(below.url)
        assert address.startswith("/chat/c/")
        await expect(tab.answer).to_contain_text("".join(HELLO))
        await page.reload()
        await tab.until_ended()
        await expect(tab.answer).to_contain_text("".join(HELLO))
        await expect(tab.rows.get_by_role("link")).to_have_attribute("href", address)
        await page.get_by_role("button", name="New chat").first.click()
        assert page.url == f"{below.url}/chat/"
        await page.go_back()
        await expect(tab.answer).to_contain_text("".join(HELLO))
        below.script.pieces = ("A claim.[^1]\n\n[^1]: Its source.",)
        await tab.ask("And this?")
        await tab.answer.locator("sup a").click()  # a link to a place in the page
        await expect(tab.focused).to_contain_text("Its source.")
        assert page.url == f"{below.url}{address}"
        kept = await page.evaluate("() => Object.keys(localStorage)")
        assert kept
        assert all(name.startswith("dls:/chat/:") for name in kept)
        assert {path for path in asked if not path.startswith("/chat/")} == set()
        assert (await tab.watched()).errors == []


async def test_a_browser_without_cookies_sees_an_error_and_keeps_the_draft(
    app: App, context: BrowserContext
) -> None:
    async def without_cookies(route: Route) -> None:
        async with app.guest() as guest:  # a new visitor each time
            answer = await guest.get("/api/visitor")
        await route.fulfill(status=answer.status, body=answer.raw, content_type="application/json")

    page = await context.new_page()
    await page.route("**/api/visitor", without_cookies)
    tab = ChatPage(page, app.url)
    await tab.goto("/")
    await expect(tab.banner).to_have_attribute("data-kind", "cookies")
    await expect(tab.banner).to_contain_text(NO_COOKIES)
    await tab.send("Worth keeping")
    await expect(tab.composer).to_have_value("Worth keeping")
    await expect(tab.questions).to_have_count(0)
    assert app.script.prompts == []
    await page.unroute("**/api/visitor")
    await tab.banner.get_by_role("button", name="Reload").click()
    await expect(tab.banner).to_have_count(0)
    await expect(tab.composer).to_have_value("Worth keeping")
    await tab.composer.press("Enter")
    await tab.until_ended()
    await tab.assert_exact(mounts=None)
