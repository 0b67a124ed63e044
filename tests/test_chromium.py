"""The browser that other tests rely on: it is fresh for each, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chromium import chromium, context, fresh_context, running_chromium
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
