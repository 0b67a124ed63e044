"""Read in one tab: nothing moves; reloads and a network that fails lose and double no word."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from tests.app import App
from tests.browser.chat_page import ChatPage, letters
from tests.browser.scripted import numbered, speaking
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

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


@pytest.mark.promise("prefix")
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


@pytest.mark.promise("prefix")
@pytest.mark.parametrize("loss", ["offline", "refuse", "hang"])
async def test_a_loss_is_reported_and_the_answer_continues_where_it_was(
    far: ChatPage, app: App, proxy: TcpProxy, loss: Literal["offline", "refuse", "hang"]
) -> None:
    if loss == "hang":
        await far.page.clock.install()
        await far.page.reload()
    await far.begin(app, "Count", 10)
    if loss == "offline":
        await far.page.context.set_offline(True)
        await far.until_state("offline")
        await expect(far.banner).to_have_attribute("data-kind", "offline")
        await expect(far.stop_button).to_be_visible()
    else:
        await proxy.set(loss)
    app.script.allow(10)
    if loss == "refuse":
        proxy.cut()
        await far.until_state("reconnecting")
        await expect(far.banner).to_have_attribute("data-kind", "down")
        await expect(far.page.get_by_text("Reconnecting in ")).to_be_visible()
    if loss == "hang":  # it is given up after forty seconds
        await far.page.clock.fast_forward(35_000)
        await far.until_state("waiting")
        await far.page.clock.fast_forward(6_000)
        await far.until_state("reconnecting")
    assert await far.shown() == letters("".join(WORDS[:10]))
    await proxy.set("pass")
    await far.page.context.set_offline(False)
    if loss == "refuse":
        await far.button("Try now").click()
    await far.until_state("resumed")
    await far.until_shown("".join(WORDS[:20]))
    await expect(far.banner).to_have_count(0)
    app.script.free()
    await far.until_ended()
    assert await far.assert_exact() == SAID


async def test_nothing_moves_while_an_answer_is_written_and_ends(tab: ChatPage, app: App) -> None:
    app.script.pieces = WORDS[:60]
    async with speaking(app.script, every=0.02):
        await tab.send("Count")
        await tab.until_ended()
    assert await tab.assert_exact() == "".join(WORDS[:60])
    assert await tab.copied(tab.questions.first) == "Count"
    await tab.assert_still()


@pytest.mark.promise("prefix")
async def test_an_answer_stands_there_at_once_after_each_of_many_reloads(
    tab: ChatPage, app: App
) -> None:
    app.script.pieces = WORDS
    app.script.hold()
    await tab.send("Count")
    await expect(tab.page.get_by_test_id("thinking")).to_be_visible()
    await tab.page.reload()  # before the first word
    await expect(tab.page.get_by_test_id("thinking")).to_be_visible()
    rng = random.Random(5)
    said = 0
    for _ in range(6):
        pieces = rng.randint(1, 9)
        app.script.allow(pieces)
        said += pieces
        await tab.until_shown("".join(WORDS[:said]))
        await tab.reload()
        await tab.until_state("resumed")
        await expect(tab.questions).to_have_text("Count")
    app.script.free()
    await tab.until_ended()
    assert await tab.assert_exact() == SAID


async def test_a_reader_at_the_end_stays_there_and_elsewhere_is_not_moved(
    tab: ChatPage, app: App
) -> None:
    lines = tuple(f"This is paragraph number {number} of many.\n\n" for number in range(1, 121))
    app.script.pieces = lines
    jump = tab.button("Jump to latest")

    async def grow(said: int) -> None:
        app.script.allow()
        await tab.until_shown("".join(lines[:said]))

    await tab.begin(app, "At length", 60)
    for said in range(61, 73):
        await grow(said)
        assert await tab.below() <= 24
    before = await tab.scroll_up(600)
    await expect(jump).to_be_visible()
    for said in range(73, 85):
        await grow(said)
        assert abs(await tab.top() - before) <= 2
    await jump.click()
    await expect(jump).to_have_count(0)
    for said in range(85, 88):
        assert await tab.below() <= 24
        await grow(said)
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact()
    assert await tab.below() <= 24
    await expect(jump).to_have_count(0)
