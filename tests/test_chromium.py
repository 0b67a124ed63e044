"""The browser that other tests rely on: it is fresh for each, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.chromium import chromium, context, find_chromium, fresh_context, running_chromium
from tests.waiting import until

__all__ = ["chromium", "context"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = "data:text/html,<title>Here</title><button onclick='document.title=navigator.onLine'>?"


def processes_about(folder: Path) -> list[str]:
    """The processes that have a folder on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_text(errors="replace")
        except OSError:  # gone meanwhile
            continue
        if str(folder) in command:
            found.append(f"{entry.parent.name}: {command}")
    return found


async def test_a_page_runs_its_script(context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto(PAGE)
    await context.set_offline(True)
    await page.get_by_role("button").click()
    assert await page.title() == "false"


async def test_contexts_share_nothing(chromium: Browser, context: BrowserContext) -> None:
    cookie = {"name": "who", "value": "me", "url": "http://127.0.0.1/"}
    await context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict of Playwright's
    async with fresh_context(chromium) as other:
        assert await other.cookies() == []
    assert len(await context.cookies()) == 1


async def test_a_browser_leaves_no_process_and_no_profile(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("b")
    monkeypatch.setenv("TMPDIR", str(folder))  # where Playwright puts the profile
    async with running_chromium() as browser, fresh_context(browser) as own:
        await (await own.new_page()).goto(PAGE)
        assert processes_about(folder) != []
        assert list(folder.iterdir()) != []
    await until(lambda: processes_about(folder) == [])
    assert list(folder.iterdir()) == []


async def test_a_program_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my-chromium"
    program.touch(mode=0o755)
    monkeypatch.setenv("DLS_CHROMIUM", str(program))
    assert find_chromium() == str(program)
    monkeypatch.setenv("DLS_CHROMIUM", str(tmp_path / "missing"))
    assert find_chromium() is None
