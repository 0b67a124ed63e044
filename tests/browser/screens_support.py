"""What the tests of the screens need beside `ChatPage`: many chats, and a model with a bill."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, Route, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.fake_provider import FakeProvider
from tests.processes import ServerProcess, serving

#: Sizes in CSS pixels.
PHONE = {"width": 390, "height": 844}

#: What `Browser.new_context` takes for a desktop and for a phone.
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
HAND: dict[str, Any] = {
    "viewport": PHONE,
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}


async def add_chats(tab: ChatPage, titles: Sequence[str]) -> list[str]:
    """Ask one question for each title, on the server, as the tab's visitor. Returns their ids."""
    ids = []
    for number, title in enumerate(titles):
        chat = f"chat-{len(titles)}-{number}"
        message = {"id": f"{chat}-q", "role": "user", "parts": [{"type": "text", "text": title}]}
        response = await tab.page.request.post(
            f"{tab.api}/api/chat", data={"id": chat, "message": message}
        )
        assert response.ok, await response.text()
        ids.append(chat)
    return ids


async def ask(tab: ChatPage, text: str) -> None:
    """Send a message and read its answer to the end."""
    before = await tab.answers.count()
    await tab.send(text)
    await expect(tab.answers).to_have_count(before + 1)
    await tab.until_ended()


async def begin(tab: ChatPage, app: App, text: str, pieces: int = 1) -> None:
    """Send a message, and read so many pieces of its answer; then the model says no more."""
    app.script.hold()
    await tab.send(text)
    app.script.allow(pieces)
    await tab.until_shown("".join(map(str, app.script.pieces[:pieces])))


async def ask_until(tab: ChatPage, text: str, shown: str) -> None:
    """Send a message and read so much of its answer: of its own, whatever others begin with."""
    before = await tab.answers.count()
    await tab.send(text)
    await expect(tab.answers).to_have_count(before + 1)
    await tab.until_shown(shown)


def row(tab: ChatPage, title: str) -> Locator:
    """The row of a chat in the list."""
    return tab.rows.filter(has_text=title)


def titles(tab: ChatPage) -> Locator:
    """The titles in the list, without the marks beside them."""
    return tab.rows.locator("a > :first-child")


async def choose(tab: ChatPage, title: str, command: str) -> None:
    """Choose a command of a row's menu, with the mouse."""
    await row(tab, title).hover()
    await row(tab, title).get_by_role("button", name="Options of").click()
    await tab.page.get_by_role("menuitem", name=command).click()


def title_box(tab: ChatPage) -> Locator:
    """The box for a new title, while there is one."""
    return tab.page.get_by_role("textbox", name="Title")


async def rename(tab: ChatPage, title: str) -> None:
    """Begin to rename a chat in the list, with the mouse; from then on keys are letters of it."""
    await choose(tab, title, "Rename")
    await expect(title_box(tab)).to_be_focused()
    await expect(title_box(tab)).to_have_value(title)


async def answer_with(page: Page, addresses: str, **response: Any) -> None:
    """Let somebody else answer from now on: a broken server, a network's sign-in page.

    Args:
        addresses: a glob of the requests that never reach the server.
        response: what `Route.fulfill` takes.
    """

    async def fulfill(route: Route) -> None:
        await route.fulfill(**response)

    await page.route(addresses, fulfill)


def focused(page: Page) -> Locator:
    """The element that has the focus."""
    return page.locator(":focus")


async def fits_its_width(page: Page) -> None:
    """Nothing makes the page scroll sideways, and nothing that can be pressed is outside of it."""
    overflow = await page.evaluate(
        """() => {
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
          return { wide, outside };
        }"""
    )
    assert overflow == {"wide": [], "outside": []}


@asynccontextmanager
async def billing_server(
    folder: Path, *models: str
) -> AsyncGenerator[tuple[ServerProcess, FakeProvider], None]:
    """A server whose answers come from a provider that thinks and that bills.

    Args:
        folder: where the server keeps its store.
        models: the models offered, the default first.
    """
    async with FakeProvider() as provider:
        settings = {
            "OPENAI_BASE_URL": provider.base_url,
            "DLS_MODEL": models[0],
            "DLS_MODELS": ",".join(models[1:]),
        }
        async with serving(folder, settings) as server:
            yield server, provider
