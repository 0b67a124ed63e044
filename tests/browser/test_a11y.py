"""axe finds nothing on any screen, in any state, light and dark, on a desk and in a hand."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.app import App
from tests.browser.conftest import NewDevice
from tests.browser.screens_support import DESKTOP, PHONE
from tests.browser.screens_tour import tour
from tests.node import WEB

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = WEB / "node_modules/axe-core/axe.min.js"

#: Every rule that axe has by default: WCAG 2.x A and AA, and its best practices.
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.map(
  ({ id, impact, help, nodes }) => `${id} (${impact}): ${help}: ` + nodes.slice(0, 3).map(
    ({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ""}`).join(" | "))"""


async def violations(page: Page) -> list[str]:
    """What axe finds now, a sentence each."""
    found: list[str] = await page.evaluate(RUN)
    return found


@pytest.mark.timeout(180)
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_any_state(
    device: NewDevice, app: App, scheme: str, size: str
) -> None:
    phone = size == "phone"
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": PHONE if phone else DESKTOP}
    if phone:
        options |= {"has_touch": True, "is_mobile": True}
    found = []
    seen = []
    async with device(**options) as context:
        await context.add_init_script(path=AXE)
        async for state, tab in tour(app, context, phone=phone):
            seen.append(state)
            found += [f"{state}: {each}" for each in await violations(tab.page)]
    assert len(seen) >= 25
    assert found == [], "\n".join(found)


async def test_axe_would_find_something(device: NewDevice, app: App) -> None:
    async with device() as context:
        await context.add_init_script(path=AXE)
        page = await context.new_page()
        await page.goto(app.url)
        await page.evaluate("() => { document.body.append(document.createElement('button')); }")
        assert any(found.startswith("button-name") for found in await violations(page))
