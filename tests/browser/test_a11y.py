"""axe finds nothing on any screen, in any state, light and dark, on a desktop and on a phone.

Nor does any scroll sideways on the smallest phone, or move where no motion is wanted.

`DLS_PICTURES=FOLDER` keeps a picture of each.
"""

from __future__ import annotations

import os
from functools import partial
from operator import not_
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.app import App
from tests.browser.chat_page import DESK, HAND
from tests.browser.conftest import NewDevice
from tests.browser.screens_tour import settled, tour
from tests.node import WEB
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = WEB / "node_modules/axe-core/axe.min.js"

#: Every rule that axe has by default (WCAG 2.x A and AA, and its best practices), or some of them.
RUN = """async (rules) => (await axe.run(document,
  { resultTypes: ["violations"], ...(rules.length ? { runOnly: rules } : {}) })).violations.map(
  ({ id, impact, help, nodes }) => `${id} (${impact}): ${help}: ` + nodes.slice(0, 3).map(
    ({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ""}`).join(" | "))"""


async def violations(page: Page, *rules: str) -> list[str]:
    """What axe finds now, a sentence each."""
    found: list[str] = await page.evaluate(RUN, list(rules))
    return found


#: What makes the page scroll sideways, and what can be pressed but is outside of it.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const wide = [document.documentElement, document.body,
    ...document.querySelectorAll("main, header, form, [role=log], [data-testid=scroller]")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.outerHTML.slice(0, 120));
  const outside = [...document.querySelectorAll("main button, main a, main textarea")]
    .filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 0 && !element.closest(".md-code, .md-table, .sr-only")
        && !element.matches(".sr-only") && (box.left < -1 || box.right > width + 1);
    })
    .map((element) => element.outerHTML.slice(0, 120));
  return [...wide, ...outside];
}"""

RUNNING = """() => document.getAnimations().filter((each) => each.playState === "running")
  .map((each) => each.effect.target.outerHTML.slice(0, 120))"""

#: The themes, and what is asked about in each: but for its colours the page is the same in both.
SCHEMES: dict[Literal["light", "dark"], tuple[str, ...]] = {
    "dark": ("color-contrast",),
    "light": (),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", ["desktop", "phone"])
async def test_no_state_has_a_barrier_scrolls_sideways_or_moves_unasked(
    device: NewDevice, app: App, size: str
) -> None:
    found = []
    seen = []
    pictures = os.environ.get("DLS_PICTURES")
    narrow = {**HAND, "viewport": {"width": 320, "height": 568}, "reduced_motion": "reduce"}
    async with device(**(narrow if size == "phone" else DESK)) as context:
        await context.add_init_script(path=AXE)
        async for state, tab in tour(app, context, phone=size == "phone"):
            seen.append(state)
            found += [f"{state}: too wide: {each}" for each in await tab.page.evaluate(TOO_WIDE)]
            if size == "phone":
                await until(partial(tab.page.evaluate, RUNNING), not_, f"{state} without motion")
            for scheme, rules in SCHEMES.items():
                await tab.page.emulate_media(color_scheme=scheme)
                await expect(tab.page.locator("html.dark")).to_have_count(int(scheme == "dark"))
                await settled(tab.page)
                found += [
                    f"{state}, {scheme}: {each}" for each in await violations(tab.page, *rules)
                ]
                if pictures:
                    name = f"{size}-{scheme}-{len(seen):02} {state}.png"
                    await tab.page.screenshot(path=Path(pictures) / name)
    assert len(seen) >= 25, seen
    assert found == [], "\n".join(found)


async def test_axe_would_find_something(device: NewDevice, app: App) -> None:
    async with device() as context:
        await context.add_init_script(path=AXE)
        page = await context.new_page()
        await page.goto(app.url)
        await page.evaluate("() => { document.body.append(document.createElement('button')); }")
        found = await violations(page)
        assert any(each.startswith("button-name") for each in found), found
