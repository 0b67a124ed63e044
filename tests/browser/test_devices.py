"""Continuing on another device, and signing out, as a person does it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.app import App
from tests.browser.chat_page import DESK, HAND, ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.screens_tour import settled
from tests.browser.test_a11y import AXE, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

ELSEWHERE, OUT = "Continue on another device", "Sign out"


async def choose(tab: ChatPage, item: str) -> None:
    """Choose from the menu about devices, by keyboard alone."""
    await tab.button("Devices and sign-out").focus()
    await tab.page.keyboard.press("Enter")
    chosen = tab.page.get_by_role("menuitem", name=item)
    await expect(chosen).to_be_visible()
    await chosen.focus()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("dialog")).to_be_visible()


async def link_of(tab: ChatPage) -> str:
    await choose(tab, ELSEWHERE)
    return await tab.page.get_by_role("textbox", name="Link", exact=True).input_value()


async def accessible(page: Page) -> bool:
    """Whether axe finds nothing."""
    await settled(page)
    await page.evaluate(AXE.read_text("utf-8"))
    assert await violations(page) == []
    return True


async def photograph(page: Page, name: str) -> None:
    """Keep a picture, where a folder for pictures is named."""
    if folder := os.environ.get("DLS_PICTURES_DEVICES"):
        await settled(page)
        await page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.promise("owned")
async def test_a_link_brings_the_chats_to_another_browser_after_a_question(
    app: App, tab: ChatPage, device: NewDevice
) -> None:
    await tab.add_chats(["Mine", "Yours"])
    link = await link_of(tab)
    assert re.fullmatch(rf"{re.escape(tab.url)}/link#[A-Za-z0-9_-]{{22}}", link)
    await expect(tab.page.get_by_role("img", name="QR code of the link")).to_be_visible()
    await expect(tab.page.get_by_role("dialog")).to_contain_text(re.compile(r"Valid for \d+ s"))
    assert await accessible(tab.page)
    await photograph(tab.page, "link")
    await tab.page.keyboard.press("Escape")
    await expect(tab.button("Devices and sign-out")).to_be_focused()
    async with device(**HAND, color_scheme="dark") as hand:
        phone = await hand.new_page()
        await phone.goto(link)
        dialog = phone.get_by_role("dialog", name="Continue here?")
        await expect(dialog).to_be_visible()
        assert "link" not in phone.url
        await photograph(phone, "arrival")
        await dialog.get_by_role("button", name="Cancel").click()
        assert (await (await phone.request.get(f"{tab.url}/api/chats")).json())["chats"] == []
        await phone.goto(link)
        await phone.reload()  # the address is gone, and with it the question
        await expect(phone.get_by_role("dialog")).to_have_count(0)
        await phone.goto(link)
        await dialog.get_by_role("button", name="Continue here").click()
        await expect(dialog).to_have_count(0)
        other = ChatPage(phone, tab.url)
        await other.page.get_by_role("button", name="Toggle sidebar").click()
        await expect(other.titles).to_have_text(["Yours", "Mine"])
        await phone.goto(link)
        await expect(dialog).to_contain_text("It has chats of its own.")
        await dialog.get_by_role("button", name="Continue here").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("This link was used already")
        await photograph(phone, "used")


async def test_a_link_that_is_over_is_replaced_by_a_new_one(tab: ChatPage) -> None:
    await tab.page.clock.install()
    first = await link_of(tab)
    await tab.page.clock.fast_forward(61_000)
    dialog = tab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("This link is no longer valid.")
    await dialog.get_by_role("button", name="Make a new link").click()
    box = tab.page.get_by_role("textbox", name="Link", exact=True)
    await expect(box).not_to_have_value(first)
    await dialog.get_by_role("button", name="Copy link").click()
    assert await tab.page.evaluate("navigator.clipboard.readText()") == await box.input_value()


async def test_a_link_that_cannot_be_made_is_asked_for_again(tab: ChatPage) -> None:
    async def refuse(route: Route) -> None:
        await route.abort()

    await tab.page.route("**/api/visitor/links", refuse)
    await choose(tab, ELSEWHERE)
    dialog = tab.page.get_by_role("dialog")
    await expect(dialog.get_by_role("alert")).to_contain_text("No link could be made.")
    await tab.page.unroute("**/api/visitor/links")
    await dialog.get_by_role("button", name="Make a new link").click()
    await expect(dialog.get_by_role("img", name="QR code of the link")).to_be_visible()


@pytest.mark.promise("owned")
@pytest.mark.parametrize("everywhere", [False, True], ids=["here", "everywhere"])
async def test_signing_out_leaves_nothing_in_any_tab_of_the_browser(
    tab: ChatPage, context: BrowserContext, device: NewDevice, everywhere: bool
) -> None:
    await tab.add_chats(["Mine"])
    second = await ChatPage.open(context, tab.url)
    await second.composer.fill("A secret draft")
    async with device(storage_state=await context.storage_state(), **DESK) as other:
        elsewhere = await ChatPage.open(other, tab.url)
        await expect(elsewhere.titles).to_have_text(["Mine"])
        await choose(tab, OUT)
        assert await accessible(tab.page)
        await photograph(tab.page, "sign-out")
        name = "Sign out in all browsers" if everywhere else "Sign out here"
        await tab.button(name).click()
        for page in (tab, second):
            await expect(page.page.get_by_text("Your chats will appear here.")).to_be_visible()
            await expect(page.composer).to_have_value("")
        left = await tab.page.evaluate("JSON.stringify(localStorage)")
        assert "secret" not in left
        if everywhere:
            await expect(elsewhere.page.get_by_text("Your chats will appear here.")).to_be_visible()
        else:
            await elsewhere.goto("/")
            await expect(elsewhere.titles).to_have_text(["Mine"])
