"""Light, dark, and as the system says; motion for those who want it; no JavaScript at all."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from playwright.async_api import BrowserContext, Page, Request, Route, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.test_a11y import RUNNING
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIGHT, DARK = "rgb(251, 251, 250)", "rgb(19, 20, 23)"
SCHEMES: dict[Literal["light", "dark"], str] = {"light": LIGHT, "dark": DARK}


async def shows(page: Page, colour: str) -> None:
    """The page's background is of this colour."""
    await expect(page.locator("body")).to_have_css("background-color", colour)


async def choose_theme(tab: ChatPage, name: str) -> None:
    await tab.button("Theme:").click()
    await tab.page.get_by_role("menuitemradio", name=name).click()


async def test_the_theme_follows_the_system_until_one_is_chosen_in_any_tab(
    tab: ChatPage, context: BrowserContext
) -> None:
    for scheme, colour in SCHEMES.items():
        await tab.page.emulate_media(color_scheme=scheme)
        await shows(tab.page, colour)
    other = await ChatPage.open(context, tab.url)
    await choose_theme(tab, "Light")
    await shows(tab.page, LIGHT)
    await choose_theme(other, "Dark")
    await shows(tab.page, DARK)
    await choose_theme(other, "Light")
    await tab.page.reload()
    await shows(tab.page, LIGHT)
    await choose_theme(tab, "System")
    await shows(tab.page, DARK)
    await shows(other.page, LIGHT)  # its own system is light
    await expect(other.button("Theme: System")).to_be_visible()


#: What is behind everything in each frame, from the first one.
BACKGROUNDS = """
window.backgrounds = [];
const look = () => {
  window.backgrounds.push(getComputedStyle(document.documentElement).backgroundColor);
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


@pytest.mark.parametrize(("scheme", "stored"), [("light", "dark"), ("dark", None)])
async def test_a_dark_page_never_flashes_white(
    device: NewDevice, app: App, scheme: Literal["light", "dark"], stored: str | None
) -> None:
    wanted = asyncio.Event()

    async def late(route: Route) -> None:
        await wanted.wait()
        await route.continue_()

    async with device(color_scheme=scheme) as context:
        if stored:
            await context.add_init_script(f"localStorage.setItem('dls:theme', '{stored}')")
        await context.add_init_script(BACKGROUNDS)
        await context.route("**/assets/*.css", late)
        tab = ChatPage(await context.new_page(), app.url)
        async with tab.page.expect_event("requestfinished", is_script):
            await tab.page.goto(app.url, wait_until="commit")
        # All but the styles is there, and nothing is painted: what is parsed is not yet seen.
        await until(lambda: tab.page.locator(".shell").count())
        assert await tab.page.evaluate("() => window.backgrounds") == []
        wanted.set()
        await expect(tab.chat).to_have_attribute("data-loading", "ready")
        await tab.page.evaluate("() => window.watched.painted()")
        assert set(await tab.page.evaluate("() => window.backgrounds")) == {DARK}


def is_script(request: Request) -> bool:
    return "/assets/index-" in request.url and request.url.endswith(".js")


async def test_motion_there_is_where_it_is_welcome(tab: ChatPage, app: App) -> None:
    app.script.hold()
    await tab.send("Hi")
    await expect(tab.page.get_by_test_id("thinking")).to_be_visible()
    await until(lambda: tab.page.evaluate(RUNNING), what="something that moves")
    app.script.free()
    await tab.until_ended()


async def test_without_javascript_there_is_a_sentence(device: NewDevice, app: App) -> None:
    async with device(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(app.url)
        sentence = page.locator(".no-script")
        await expect(sentence).to_be_in_viewport()
        assert "This chat needs JavaScript." in await sentence.inner_text()


async def test_forced_colours_keep_the_borders_of_what_can_be_pressed(
    device: NewDevice, app: App
) -> None:
    async with device(forced_colors="active") as context:
        tab = await ChatPage.open(context, app.url)
        await tab.ask("Hi")
        await tab.composer.focus()
        style = await tab.composer.evaluate(
            "(box) => getComputedStyle(box.closest('.composer')).outlineStyle"
        )
        assert style != "none"
