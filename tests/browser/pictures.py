"""The README's pictures: ask, kill the server, it continues. `make pictures` puts them there.

pytest collects this file when it is named, and not otherwise:

    DLS_PICTURES_README=docs/images python -m pytest tests/browser/pictures.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import DESK, HAND, ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.screens_tour import TITLES, settled
from tests.processes import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Bytes of all pictures together.
README_BYTES = 900_000

QUESTION = "What happens to this answer when I kill the server?"


async def test_the_story_of_a_killed_server_is_shown_in_pictures(
    device: NewDevice, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("DLS_PICTURES_README", tmp_path / "readme"))
    pictures.mkdir(parents=True, exist_ok=True)
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "30", "DLS_LEASE": "1"}
    async with (
        serving(tmp_path, settings) as server,
        device(color_scheme="light", **DESK) as desk,
    ):
        tab = ChatPage(await desk.new_page(), server.url)
        await tab.add_chats([f"In short: {title}" for title in TITLES[:3]])
        await tab.goto("/")

        async def picture(name: str, of: ChatPage) -> None:
            await settled(of.page)
            await of.page.screenshot(path=pictures / f"{name}.png")

        await tab.send(QUESTION)
        await tab.until_longer(500)
        await picture("1-streaming", tab)
        await server.kill()
        await tab.until_state("reconnecting")
        before = await tab.shown()
        await picture("2-server-killed", tab)
        await server.start()
        await tab.network_is_back()
        await tab.until_state("taken-over", "resumed")
        assert (await tab.shown()).startswith(before)
        await tab.until_longer(len(before) + 200)
        await picture("3-goes-on", tab)
        options = {**HAND, "color_scheme": "dark", "storage_state": await desk.storage_state()}
        async with device(**options) as hand:
            other = await ChatPage.open(hand, server.url, tab.path)
            await other.until_longer(500)
            await picture("4-on-the-phone-too", other)
        await tab.until_ended()
        await tab.assert_exact()
        await tab.page.emulate_media(color_scheme="dark")
        await expect(tab.page.locator("html")).to_have_class("dark")
        await picture("5-finished", tab)
    sizes = [path.stat().st_size for path in pictures.glob("*.png")]
    assert len(sizes) == 5
    assert sum(sizes) < README_BYTES
