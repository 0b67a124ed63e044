"""The network fails in every way it knows in mid-answer; no word is lost or doubled."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from tests.app import App
from tests.browser.chat_page import ChatPage, letters
from tests.browser.pace import numbered, speaking
from tests.browser.screens_support import begin
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.promise("prefix")]

WORDS = numbered(400)
SAID = "".join(WORDS)


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(app: App) -> AsyncIterator[TcpProxy]:
    """The network between the browser and the application."""
    async with TcpProxy(app.address[1]) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def far(app: App, proxy: TcpProxy, context: BrowserContext) -> ChatPage:
    """A tab behind the proxy; the model has much to say."""
    app.script.pieces = WORDS
    return await ChatPage.open(context, proxy.url, api=app.url)


async def struck(proxy: TcpProxy, cuts: int) -> None:
    """Wait until so many cuts have struck."""
    await until(lambda: proxy.cuts == cuts)


async def test_offline_is_said_and_over_at_once(tab: ChatPage, app: App) -> None:
    app.script.pieces = WORDS
    await begin(tab, app, "Count", 10)
    await tab.page.context.set_offline(True)
    await tab.until_state("offline")
    await expect(tab.banner).to_have_attribute("data-kind", "offline")
    await expect(tab.stop_button).to_be_visible()
    app.script.allow(10)
    assert await tab.shown() == "".join(WORDS[:10]).replace(" ", "")
    await tab.page.context.set_offline(False)
    await tab.until_state("resumed")
    await tab.until_shown("".join(WORDS[:20]))
    await expect(tab.banner).to_have_count(0)
    app.script.free()
    await tab.until_ended()
    assert await tab.assert_exact() == SAID


async def test_an_answer_survives_fifteen_resets_at_any_byte(
    far: ChatPage, app: App, proxy: TcpProxy
) -> None:
    rng = random.Random(11)
    async with speaking(app.script, every=0.02):
        await far.send("Count")
        await far.until_longer(1)
        for cut in range(1, 16):
            proxy.cut_after(rng.randint(1, 700), clean=cut % 3 == 0)
            await struck(proxy, cut)
            await far.network_is_back()
    await far.until_ended()
    assert await far.assert_exact() == SAID
    assert len(app.script.prompts) == 1


async def test_a_silent_connection_is_given_up_after_forty_seconds(
    far: ChatPage, app: App, proxy: TcpProxy
) -> None:
    await far.page.clock.install()
    await far.page.reload()
    await begin(far, app, "Count", 10)
    await proxy.set("hang")
    app.script.allow(10)
    await far.page.clock.fast_forward(35_000)
    await far.until_state("waiting")
    await far.page.clock.fast_forward(6_000)
    await far.until_state("reconnecting")
    assert await far.shown() == letters("".join(WORDS[:10]))
    await proxy.set("pass")
    await far.until_state("resumed")
    await far.until_shown("".join(WORDS[:20]))
    app.script.free()
    await far.until_ended()
    assert await far.assert_exact() == SAID


async def test_a_server_that_refuses_for_a_while_is_tried_again(
    far: ChatPage, app: App, proxy: TcpProxy
) -> None:
    await begin(far, app, "Count", 10)
    await proxy.set("refuse")
    proxy.cut()
    await far.until_state("reconnecting")
    await expect(far.banner).to_have_attribute("data-kind", "down")
    await expect(far.page.get_by_text("Reconnecting in ")).to_be_visible()
    app.script.allow(10)
    await proxy.set("pass")
    await far.page.get_by_role("button", name="Try now").click()
    await far.until_state("resumed")
    await far.until_shown("".join(WORDS[:20]))
    await expect(far.banner).to_have_count(0)
    app.script.free()
    await far.until_ended()
    assert await far.assert_exact() == SAID
