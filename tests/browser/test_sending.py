"""What a reader writes: kept whatever happens, and sent once."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, Route, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.promise("outbox")
@pytest.mark.parametrize("begun", [False, True], ids=["new chat", "old chat"])
async def test_a_message_waits_through_a_reload_without_a_server(
    tab: ChatPage, app: App, begun: bool
) -> None:
    if begun:
        await tab.ask("First")

    async def refuse(route: Route) -> None:
        await route.abort("internetdisconnected")

    await tab.page.route("**/api/**", refuse)
    await tab.send("Wait for me")
    own = tab.page.get_by_text("Wait for me", exact=True)
    await expect(own.first).to_be_visible()
    if not begun:
        await expect(tab.page.get_by_text("Waits here and is sent by itself.")).to_be_visible()
    await tab.page.reload()
    await expect(tab.chat.get_by_text("Wait for me", exact=True).first).to_be_visible()
    await tab.page.unroute("**/api/**")
    await expect(tab.answers).to_have_count(2 if begun else 1)
    await tab.until_ended()
    assert await tab.assert_exact(mounts=None) == "Hello, world."
    assert (await tab.history())[-2] == ("user", "Wait for me")
    assert len(app.script.prompts) == (2 if begun else 1)


@pytest.mark.promise("outbox", "idempotent-send")
async def test_two_tabs_send_a_message_that_was_written_offline_once(
    tab: ChatPage, app: App, context: BrowserContext
) -> None:
    await tab.ask("First")
    other = await ChatPage.open(context, app.url, tab.path)
    await context.set_offline(True)
    await tab.send("Second")
    await expect(other.chat.get_by_text("Second", exact=True)).to_be_visible()
    await expect(tab.page.get_by_text("The answer goes on on the server.")).to_have_count(0)
    await context.set_offline(False)
    for each in (tab, other):
        await expect(each.answers).to_have_count(2)
        await each.until_ended()
        await each.assert_exact(mounts=None)
        await expect(each.questions).to_have_text(["First", "Second"])
    assert len(app.script.prompts) == 2
    assert [role for role, _ in await tab.history()] == ["user", "assistant"] * 2


@pytest.mark.promise("idempotent-send")
async def test_a_question_is_seen_at_once_and_makes_one_run_though_its_answer_is_lost(
    app: App, context: BrowserContext
) -> None:
    async with TcpProxy(app.address[1]) as proxy:
        tab = await ChatPage.open(context, proxy.url, api=app.url)
        app.script.hold()
        await proxy.set("hang")
        await tab.send("Once")
        await expect(tab.questions).to_have_text("Once")
        await expect(tab.page.get_by_test_id("awaited")).to_be_visible()
        await expect(tab.composer).to_have_value("")
        proxy.cut_after(1)  # the first byte that comes after the request went out
        await proxy.set("pass")
        await until(lambda: proxy.cuts == 1)
        await until(lambda: len(app.script.prompts) == 1)
        app.script.free()
        await tab.until_ended()
        assert await tab.assert_exact() == "Hello, world."
        assert len(app.script.prompts) == 1
        assert len(await tab.history()) == 2
