"""Fixtures of the browser tests: the application, a browser, a tab.

All of it lives in the session's event loop, as does the browser, so each module says

    pytestmark = pytest.mark.asyncio(loop_scope="session")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from durable_llm_streams.server.ui import BUILT
from tests.app import App, running_app
from tests.browser.chat_page import ChatPage
from tests.chromium import chromium, fresh_context
from tests.node import missing

__all__ = ["chromium"]

HERE = Path(__file__).parent


class NewDevice(Protocol):
    """Opens one more browser context, with what `Browser.new_context` takes."""

    def __call__(self, **options: Any) -> AbstractAsyncContextManager[BrowserContext]: ...


@pytest.fixture(scope="session", autouse=True)
def built() -> Path:
    """The built interface. Skips where there is none, and fails if it should be there."""
    if not (BUILT / "index.html").is_file():
        missing("The interface was not built: run `make test`, or python hatch_build.py")
    return BUILT


@pytest_asyncio.fixture(loop_scope="session")
async def device(chromium: Browser) -> NewDevice:
    """A way to open more devices: contexts that are watched and may use the clipboard."""

    @asynccontextmanager
    async def open_device(**options: Any) -> AsyncIterator[BrowserContext]:
        options.setdefault("permissions", ["clipboard-read", "clipboard-write"])
        async with fresh_context(chromium, **options) as context:
            await context.add_init_script(path=HERE / "watch.js")
            yield context

    return open_device


@pytest_asyncio.fixture(loop_scope="session")
async def app(tmp_path: Path, built: Path) -> AsyncIterator[App]:
    """The application with the interface, and a model that the test scripts."""
    async with running_app(tmp_path, ui=built) as app:
        yield app


@pytest_asyncio.fixture(loop_scope="session")
async def context(device: NewDevice) -> AsyncIterator[BrowserContext]:
    """The browser of one new visitor."""
    async with device() as context:
        yield context


@pytest_asyncio.fixture(loop_scope="session")
async def tab(app: App, context: BrowserContext) -> ChatPage:
    """A tab at a new chat of the application."""
    return await ChatPage.open(context, app.url)
