"""What happens in a chat that is not looked at."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.screens_support import begin

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_that_ends_in_another_chat_is_marked_until_it_is_seen(
    tab: ChatPage, app: App
) -> None:
    await begin(tab, app, "Take your time")
    row = tab.rows.filter(has_text="Take your time")
    await expect(row).to_have_attribute("data-active", "true")
    await tab.page.get_by_role("button", name="New chat").click()
    await expect(tab.answers).to_have_count(0)
    await expect(row).to_contain_text("answer is being written")
    app.script.free()
    await expect(row).to_have_attribute("data-unread", "true")
    await expect(row).to_contain_text("new answer")
    await expect(row).not_to_have_attribute("data-active", "true")
    await expect(tab.page).to_have_title(re.compile("^● "))
    await expect(tab.page.get_by_test_id("announcer")).to_contain_text("Take your time")
    await tab.page.reload()
    await expect(row).to_have_attribute("data-unread", "true")
    await row.get_by_role("link").click()
    await tab.until_ended()
    await expect(row).not_to_have_attribute("data-unread", "true")
    await expect(tab.page).not_to_have_title(re.compile("^● "))
    assert await tab.assert_exact(mounts=None) == "Hello, world."
    await tab.page.reload()
    await tab.until_ended()
    await expect(row).not_to_have_attribute("data-unread", "true")


@pytest.mark.promise("prefix")
async def test_an_answer_goes_on_while_another_chat_is_looked_at(tab: ChatPage, app: App) -> None:
    await begin(tab, app, "Take your time")
    await tab.page.get_by_role("button", name="New chat").click()
    await expect(tab.answers).to_have_count(0)
    app.script.allow(1)
    await tab.page.go_back()
    await tab.until_shown("Hello, ")
    app.script.free()
    await tab.until_ended()
    assert await tab.assert_exact(mounts=None) == "Hello, world."
    assert len(app.script.prompts) == 1
