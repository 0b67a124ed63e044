"""One tab of the interface: what its reader can do and see, and the proof that no word was lost.

Everything here goes by test ids, roles and labels, never by styles. `watch.js` runs in every
document and looks at each frame; `ChatPage.assert_exact` says what must have been true in all of
them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from playwright.async_api import BrowserContext, Locator, Page, Route, expect

from tests.app import JSON, App, decoded, text_of
from tests.waiting import until

#: What `Browser.new_context` takes for a desktop and for a phone; sizes in CSS pixels.
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"width": 390, "height": 844}
HAND: dict[str, Any] = {
    "viewport": PHONE,
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}

#: The layout may move by this much of the page, all shifts together: what a font's arrival does.
STILL = 0.0005

_NOT_LETTERS = re.compile(r"[\W_]+")
_PLAIN = re.compile(r"[\w\s.,:;!?'-]*")


def letters(text: str) -> str:
    """What `watch.js` compares: letters and digits alone."""
    return _NOT_LETTERS.sub("", text)


@dataclass
class Watched:
    """What `watch.js` has seen in one document.

    Attributes:
        firsts: for each answer that was mounted, what it showed in its first frame.
        losses: what an answer showed before and after a frame that took something back.
        errors: uncaught exceptions of the page's scripts.
        shift: the sum of all layout shifts without the reader's doing, as a part of the page.
        shifted: the first characters of the elements that moved.
        shrunk: heights of a live answer, with what stays of a cut attempt, before and after a frame
            in which less stood there.
    """

    frames: int = 0
    firsts: list[str] = field(default_factory=list)
    losses: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    shift: float = 0.0
    shifted: list[str] = field(default_factory=list)
    shrunk: list[dict[str, float]] = field(default_factory=list)


class ChatPage:
    """A tab.

    Args:
        page: the browser's tab.
        url: where the interface is, possibly behind a proxy.
        api: where the server itself is, for looking at the truth; by default the same.
    """

    def __init__(self, page: Page, url: str, api: str | None = None) -> None:
        self.page = page
        self.url = url
        self.api = api or url
        self.composer = page.get_by_label("Message", exact=True)
        self.chat = page.get_by_test_id("chat")
        self.questions = page.locator('[data-testid="message"][data-role="user"]')
        self.answers = page.locator('[data-testid="message"][data-role="assistant"]')
        self.answer = self.answers.last
        self.live = page.locator('[data-testid="message"][data-live]')
        self.cut = page.get_by_test_id("cut")
        self.state = page.get_by_test_id("run-state").last
        self.banner = page.get_by_test_id("banner")
        self.waiting = page.get_by_test_id("waiting")
        self.rows = page.get_by_test_id("chat-row")
        self.titles = self.rows.locator("a > :first-child")
        self.title_box = page.get_by_role("textbox", name="Title")
        self.problem = page.get_by_test_id("problem-screen")
        self.dialog = page.get_by_role("dialog")
        self.focused = page.locator(":focus")
        self.scroller = page.get_by_test_id("scroller")
        self.stop_button = page.get_by_role("button", name="Stop", exact=True)

    @classmethod
    async def open(
        cls,
        context: BrowserContext,
        url: str,
        path: str = "/",
        *,
        api: str | None = None,
    ) -> Self:
        """A new tab at an address, ready to be used."""
        tab = cls(await context.new_page(), url, api)
        await tab.goto(path)
        return tab

    # --- doing ------------------------------------------------------------------------------------

    async def goto(self, path: str) -> None:
        """Load an address and wait until the chat there is."""
        await self.page.goto(self.url + path)
        await expect(self.chat).to_have_attribute("data-loading", "ready")

    async def send(self, text: str) -> None:
        """Write a message and press Enter."""
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def ask(self, text: str) -> None:
        """Send a message and read its answer to the end."""
        await self._asked(text)
        await self.until_ended()

    async def ask_until(self, text: str, shown: str) -> None:
        """Send a message and read so much of its own answer, even if others begin alike."""
        await self._asked(text)
        await self.until_shown(shown)

    async def _asked(self, text: str) -> None:
        before = await self.answers.count()
        await self.send(text)
        await expect(self.answers).to_have_count(before + 1)

    async def begin(self, app: App, text: str, pieces: int = 1) -> None:
        """Send a message, and read so many pieces of its answer; then the model pauses."""
        app.script.hold()
        await self.send(text)
        app.script.allow(pieces)
        await self.until_shown("".join(map(str, app.script.pieces[:pieces])))

    async def add_chats(self, titles: Sequence[str]) -> list[str]:
        """Ask one question for each title, on the server, as this visitor. Returns their ids."""
        chats = [f"chat-{len(titles)}-{number}" for number in range(len(titles))]
        for chat, title in zip(chats, titles, strict=True):
            await self.post(chat, title)
        return chats

    async def post(self, chat: str, text: str) -> None:
        """Ask a question on the server, as this visitor."""
        message = {"id": uuid4().hex, "role": "user", "parts": [{"type": "text", "text": text}]}
        url, data = f"{self.api}/api/chat", {"id": chat, "message": message}
        response = await self.page.request.post(url, data=data)
        assert response.ok, await response.text()

    async def choose(self, title: str, command: str) -> None:
        """Choose a command of a row's menu, with the mouse."""
        await self.row(title).hover()
        await self.row(title).get_by_role("button", name="Options of").click()
        await self.page.get_by_role("menuitem", name=command).click()

    async def rename(self, title: str) -> None:
        """Begin to rename a chat, with the mouse; from then on keys are letters of its title."""
        await self.choose(title, "Rename")
        await expect(self.title_box).to_be_focused()
        await expect(self.title_box).to_have_value(title)

    async def answer_with(self, addresses: str, **response: Any) -> None:
        """Replace the server's answers from now on: a broken server, a network's sign-in page.

        Args:
            addresses: a glob of the requests that never reach the server.
            response: what `Route.fulfill` takes.
        """

        async def fulfill(route: Route) -> None:
            await route.fulfill(**response)

        await self.page.route(addresses, fulfill)

    async def reload(self) -> str:
        """Load the page again in the midst of an answer. Returns what was seen just before.

        Nothing of it may be missing in the first frame that shows an answer again.
        """
        await self.assert_nothing_lost()
        before = await self.shown()
        await self.page.reload()
        watched = await until(self.watched, lambda watched: bool(watched.firsts))
        assert watched.firsts[-1].startswith(before), (watched.firsts, before)
        return before

    async def network_is_back(self) -> None:
        """Fire the browser's event for it: pages need not wait for their next retry."""
        await self.page.evaluate("() => { dispatchEvent(new Event('online')); }")

    async def copied(self, message: Locator | None = None) -> str:
        """What the reader gets with the button “Copy message”; by default of the last answer."""
        await self.page.evaluate("() => navigator.clipboard.writeText('')")
        await (message or self.answer).get_by_role("button", name="Copy message").click()
        return await until(
            lambda: self.page.evaluate("() => navigator.clipboard.readText()"), what="a copied text"
        )

    # --- seeing -----------------------------------------------------------------------------------

    def button(self, name: str) -> Locator:
        """A button of the page."""
        return self.page.get_by_role("button", name=name)

    def row(self, title: str) -> Locator:
        """The row of a chat in the list."""
        return self.rows.filter(has_text=title)

    @property
    def chat_id(self) -> str:
        """The chat in the address bar."""
        path = urlsplit(self.page.url).path
        assert path.startswith("/c/"), path
        return unquote(path.removeprefix("/c/"))

    @property
    def path(self) -> str:
        """The address of the chat."""
        return urlsplit(self.page.url).path

    async def shown(self) -> str:
        """The letters that the last answer shows now; "" when there is none."""
        shown: str = await self.page.evaluate("() => window.watched.last()")
        return shown

    async def until_shown(self, text: str) -> None:
        """Wait until the last answer shows this text, or more."""
        wanted = letters(text)
        await until(self.shown, lambda shown: shown.startswith(wanted), f"an answer {wanted!r}…")

    async def until_longer(self, size: int) -> str:
        """Wait until the last answer shows so many letters at least."""
        return await until(self.shown, lambda shown: len(shown) >= size, f"{size} letters")

    async def until_state(self, *kinds: str) -> str:
        """Wait until the line at the live answer is of one of these kinds."""
        kind: str = await until(
            lambda: self.page.evaluate("() => window.watched.state()"),
            lambda kind: kind in kinds,
            f"an answer that is {' or '.join(kinds)}",
        )
        return kind

    async def until_ended(self, status: str = "finished") -> None:
        """Wait until the last answer has come to this end and the chat is idle."""
        await expect(self.chat).to_have_attribute("data-status", "ready")
        await expect(self.live).to_have_count(0)
        await expect(self.answer).to_have_attribute("data-status", status)

    async def top(self) -> float:
        """Pixels above what is seen of the thread."""
        await self.page.evaluate("() => window.watched.painted()")
        position: float = await self.scroller.evaluate("(view) => view.scrollTop")
        return position

    async def below(self) -> float:
        """Pixels below what is seen of the thread."""
        rest: float = await self.scroller.evaluate(
            "(view) => view.scrollHeight - view.clientHeight"
        )
        return rest - await self.top()

    async def scroll_up(self, pixels: int) -> float:
        """Read further up. Returns the pixels above that."""
        await self.scroller.hover()
        await self.page.mouse.wheel(0, -pixels)
        await self.page.evaluate("() => window.watched.settled()")
        return await self.top()

    async def watched(self) -> Watched:
        """What was seen since the document was loaded."""
        seen: JSON = await self.page.evaluate("() => window.watched.report()")
        return Watched(**seen)

    # --- the truth --------------------------------------------------------------------------------

    async def snapshot(self, chat: str | None = None) -> JSON:
        """`GET /api/chats/{id}` of the server itself, with this browser's cookie."""
        response = await self.page.request.get(f"{self.api}/api/chats/{chat or self.chat_id}")
        assert response.ok, await response.text()
        snapshot: JSON = decoded(await response.text())
        return snapshot

    async def history(self) -> list[tuple[str, str]]:
        """The chat as the server has it: (role, text)."""
        messages: list[JSON] = (await self.snapshot())["messages"]
        return [(message["role"], text_of(message)) for message in messages]

    async def assert_nothing_lost(self, *, resets: int = 0) -> Watched:
        """In no frame of this document was anything taken back, and no script failed.

        Args:
            resets: how many times an answer may start over.
        """
        watched = await self.watched()
        assert watched.errors == []
        assert len(watched.losses) <= resets, watched.losses
        return watched

    async def assert_still(self) -> None:
        """Nothing has moved in this document without the reader's doing."""
        watched = await self.watched()
        assert watched.shift < STILL, watched.shifted

    async def assert_exact(self, *, resets: int = 0, mounts: int | None = 1) -> str:
        """The last answer was exact in every frame, and is what the server has. Returns its text.

        Args:
            resets: how many times an answer may start over.
            mounts: how often each answer may have appeared in this document; None for any number.
        """
        snapshot = await self.snapshot()
        assert snapshot["active_run"] is None
        text = text_of(snapshot["messages"][-1])
        final = letters(text) if _PLAIN.fullmatch(text) else await self._shown_later()
        await until(self.shown, lambda shown: shown == final, f"the answer {final!r}")
        assert await self.copied() == text
        watched = await self.assert_nothing_lost(resets=resets)
        if mounts is not None:
            assert len(watched.firsts) <= mounts * await self.answers.count(), watched.firsts
        return text

    async def _shown_later(self) -> str:
        """What a page shows that opens the chat afterwards."""
        later = await type(self).open(self.page.context, self.api, self.path)
        await expect(later.answer.locator(".md")).to_be_visible()
        shown = await later.shown()
        await later.page.close()
        return shown
