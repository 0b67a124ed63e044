"""Chromium, and its pages with `record.js` in them.

The browser is the machine's: the program that `DLS_CHROMIUM` names, else the first of `PROGRAMS` on
PATH (tests/chromium.py and scripts/browser have the same list).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from .bounds import SECONDS, Watch
from .visitor import Visitor

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
SIZE: Final = {"width": 1280, "height": 900}

_PARTS = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
_RECORD = Path(__file__).with_name("record.js")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser whose profile is gone at the end.

    Raises:
        SystemExit: there is none on this machine.
    """
    named = os.environ.get("DLS_CHROMIUM")
    candidates = [named] if named else PROGRAMS
    program = next((found for name in candidates if (found := shutil.which(name))), None)
    if program is None:
        raise SystemExit("Chromium is needed: apt-get install chromium, or set DLS_CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Site:
    """The measured server as a browser sees it.

    Args:
        browser: where pages are opened.
        port: the server's.

    Attributes:
        watch: ends calls into pages that do not end by themselves.
        faults: sentences about what must never be, such as a page's uncaught error.
        raw: what was seen in detail, to be kept with the figures.
    """

    def __init__(self, browser: Browser, port: int) -> None:
        self._browser = browser
        self.watch = Watch(browser)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.faults: list[str] = []
        self.raw: list[dict[str, Any]] = []

    @contextmanager
    def context(self, visitor: Visitor | None = None) -> Iterator[BrowserContext]:
        """A browser without cookies and cache, or with the cookie of a visitor."""
        context = self._browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
        context.set_default_timeout(SECONDS * 1000)
        context.add_init_script(path=_RECORD)
        if visitor is not None:
            name, value = visitor.cookie_name, visitor.cookie
            context.add_cookies([{"name": name, "value": value, "url": self.url}])
        try:
            yield context
        finally:
            context.close()

    @contextmanager
    def tab(self, visitor: Visitor | None = None, *, slower: float = 1.0) -> Iterator[Tab]:
        """One page in a context of its own.

        Args:
            visitor: whose chats it shows.
            slower: how much slower than it is the CPU is for the page.
        """
        with self.context(visitor) as context:
            tab = Tab(self, context.new_page())
            if slower != 1.0:
                tab.command("Emulation.setCPUThrottlingRate", rate=slower)
            yield tab


class Tab:
    """A page.

    Args:
        site: where it is.
        page: the browser's.
    """

    def __init__(self, site: Site, page: Page) -> None:
        self._site = site
        self.page = page
        self._devtools: CDPSession = page.context.new_cdp_session(page)
        page.on("pageerror", lambda error: site.faults.append(f"A page's error: {error}"))

    def goto(self, path: str = "/") -> Self:
        """Begin to load an address of the site."""
        self.page.goto(self._site.url + path, wait_until="commit")
        return self

    def ask(self, call: str) -> Any:
        """What a call of `window.record` gives, a promise's value when it is kept.

        Raises:
            OverdueError: it was not kept in time.
        """
        with self._site.watch.awaits(call):
            return self.page.evaluate(f"() => window.record.{call}")

    def command(self, method: str, **arguments: Any) -> dict[str, Any]:
        """What DevTools answer to a command.

        Raises:
            OverdueError: they do not.
        """
        with self._site.watch.awaits(method):
            return self._devtools.send(method, arguments)

    def press(self, keys: str) -> None:
        """Press keys together, and wait until the page has taken them.

        Raises:
            OverdueError: it does not.
        """
        with self._site.watch.awaits(f"the press of {keys}"):
            self.page.keyboard.press(keys)

    def thread_seconds(self) -> dict[str, float]:
        """CPU seconds of the page's own thread so far: of all its tasks, and of their parts."""
        self.command("Performance.enable", timeDomain="threadTicks")
        metrics = self.command("Performance.getMetrics")["metrics"]
        return {
            metric["name"].removesuffix("Duration"): metric["value"]
            for metric in metrics
            if metric["name"] in _PARTS
        }

    def rest(self, seconds: float) -> None:
        """Let the page be."""
        self.page.wait_for_timeout(seconds * 1000)
