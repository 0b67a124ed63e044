"""Chromium for the tests, driven by Playwright over its own pipe.

The browser is the machine's: the program that `DLS_CHROMIUM` names, else the first of `PROGRAMS` on
PATH (scripts/browser has the same list, and installs one where it may). Playwright downloads none.
Where there is none, tests are skipped with the reason; with `CI=true` they fail.

The fixtures live in the session's event loop, and so must the tests that use them:

    pytestmark = pytest.mark.asyncio(loop_scope="session")

Each test process starts one browser; each test gets a context of its own, which shares nothing with
any other: no cookie, no storage, no cache.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from bench.web.browser import FLAGS, PROGRAMS
from tests.node import missing
from tests.waiting import SECONDS

#: The browser's own pages, which are not needed here, cost a third of the time; the rest are those
#: that Playwright turns off, which counts only once.
FEATURES = """
    WebUIOmniboxPopup WebUIOmniboxAimPopup AvoidUnnecessaryBeforeUnloadCheckSync
    DestroyProfileOnBrowserClose HttpsUpgrades HttpsFirstBalancedModeAutoEnable
    LensOverlay MediaRouter PaintHolding ThirdPartyStoragePartitioning OptimizationHints
    NetworkTimeServiceQuerying AimEnabled PreconnectToSearch
"""

expect.set_options(timeout=SECONDS * 1000)


def find_chromium() -> str | None:
    """The browser's program, if there is one."""
    named = os.environ.get("DLS_CHROMIUM")
    candidates = [named] if named else PROGRAMS
    return next((found for name in candidates if (found := shutil.which(name))), None)


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """A browser with a profile that is gone at the end. Skips the test where there is none."""
    program = find_chromium()
    if program is None and "DLS_CHROMIUM" in os.environ:
        missing(f"DLS_CHROMIUM names no program: {os.environ['DLS_CHROMIUM']!r}")
    if program is None:
        missing("Chromium is needed: apt-get install chromium, or set DLS_CHROMIUM to its path")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[*FLAGS, f"--disable-features={','.join(FEATURES.split())}"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def fresh_context(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """A visitor's browser as it is on the first day; several in one test are several devices.

    Args:
        browser: where the context lives.
        options: what `Browser.new_context` takes, such as `viewport` or `color_scheme`.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(SECONDS * 1000)
    try:
        yield context
    finally:
        await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser of this test process."""
    async with running_chromium() as browser:
        yield browser
