"""Pictures of every state, light and dark, on a desk and in a hand; they are for looking at.

They are kept in the folder that `DLS_PICTURES` names, else in a temporary one. The story that the
README tells in pictures (ask, kill the server, it goes on) is made by the same command, which
`DLS_PICTURES_README=docs/images` asks to put it there:

    DLS_PICTURES=/tmp/pictures DLS_PICTURES_README=docs/images \
        python -m pytest tests/browser/test_pictures.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import NewDevice
from tests.browser.screens_support import DESKTOP, PHONE, add_chats
from tests.browser.screens_tour import TITLES, settled, tour
from tests.processes import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Bytes of all pictures of the README together.
README_BYTES = 900_000
WHITE_OR_EMPTY = 4_000

DESK: dict[str, Any] = {"viewport": DESKTOP}
HAND: dict[str, Any] = {
    "viewport": PHONE,
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
QUESTION = "What happens to this answer when I kill the server?"


def folder(variable: str, otherwise: Path) -> Path:
    """Where pictures go."""
    named = os.environ.get(variable)
    path = Path(named) if named else otherwise
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.timeout(180)
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_state_has_its_picture(
    device: NewDevice, app: App, tmp_path: Path, scheme: str, size: str
) -> None:
    phone = size == "phone"
    options = {**(HAND if phone else DESK), "color_scheme": scheme}
    pictures = folder("DLS_PICTURES", tmp_path / "pictures")
    sizes: dict[str, int] = {}
    async with device(**options) as context:
        async for state, tab in tour(app, context, phone=phone):
            path = pictures / f"{size}-{scheme}-{len(sizes) + 1:02} {state}.png"
            sizes[state] = len(await tab.page.screenshot(path=path))
    assert len(sizes) >= 25
    assert {state: size for state, size in sizes.items() if size < WHITE_OR_EMPTY} == {}


@pytest.mark.timeout(180)
async def test_the_story_of_a_killed_server_is_told_in_pictures(
    device: NewDevice, tmp_path: Path
) -> None:
    pictures = folder("DLS_PICTURES_README", tmp_path / "readme")
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "30", "DLS_LEASE": "1"}
    async with (
        serving(tmp_path, settings) as server,
        device(color_scheme="light", **DESK) as desk,
    ):
        tab = ChatPage(await desk.new_page(), server.url)
        await add_chats(tab, [f"In short: {title}" for title in TITLES[:3]])
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
