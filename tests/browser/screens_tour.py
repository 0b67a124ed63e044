"""A walk through every screen and state of the interface, to look at each."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from playwright.async_api import BrowserContext, Page, expect

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Citation, File, Finish, TextDelta
from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.scripted import begin_again, picture, speaks, yields
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

RICH = """An answer lives in a **log** on the server, and this page only reads it.

## How a reader comes back

1. It remembers the `id` of the last event.
2. After a cut it asks for what follows: *nothing twice*, nothing lost.

```python
async def follow(run: str, cursor: str | None) -> AsyncIterator[Event]:
    \"\"\"Everything after the cursor, then live.\"\"\"
    async for event in log.read(run, after=cursor):
        yield event  # in order, each once
```

| What happens | What is seen |
| --- | --- |
| the network is gone | the text stays |
| the server is killed | another one goes on |

> A cut is no end. Only `finish`, `error` and `abort` are.

$$
P(\\text{lost}) = \\prod_{i=1}^{n} p_i
$$

See [the documentation](https://example.com/docs).
"""
#: Nothing of it may make the page scroll sideways.
WIDE = "\n\n".join(
    (
        "A " + "very" * 60 + "long word and https://example.com/" + "path/" * 40,
        "```js\n" + "x".ljust(300, "y") + "\n```",
        "|" + "a column|" * 12 + "\n|" + "-|" * 12 + "\n|" + "cell with words|" * 12,
    )
)
PROSE = (
    "An answer is written into a log first, ",
    "and every reader follows that log at its own pace. ",
    "When the connection is cut, ",
    "the reader says what it has seen last ",
    "and the server goes on from there.",
)
TITLES = (
    "Why do answers get lost on a reload?",
    "A cursor for every event",
    "Leases, heartbeats and fencing",
    "What happens when the server is killed in the midst of a very long answer",
)

MOVING = """() => [
  ...(document.fonts.status === "loaded" ? [] : ["fonts"]),
  ...document.getAnimations()
    .filter(({ playState, effect }) =>
      playState === "running" && effect.getTiming().iterations !== Infinity)
    .map(({ effect }) => effect.target.outerHTML.slice(0, 120))]"""

State = tuple[str, ChatPage]


class Stage(NamedTuple):
    """What a state is made with: the application, the network before it, the size of the page."""

    app: App
    proxy: TcpProxy
    phone: bool


async def settled(page: Page) -> None:
    """Wait until what moves only once has arrived."""
    await until(
        lambda: page.evaluate(MOVING),
        lambda found: found == [],
        "fonts, and the end of what moves once",
    )


async def tour(app: App, context: BrowserContext, *, phone: bool) -> AsyncGenerator[State, None]:
    """Yield the name of each state when it is shown."""
    async with TcpProxy(app.address[1]) as proxy:
        tab = await ChatPage.open(context, proxy.url, api=app.url)
        await tab.add_chats(TITLES)
        await tab.goto("/")
        app.script.hold()  # from here on each piece is allowed by itself
        for part in PARTS:
            async for name in part(tab, Stage(app, proxy, phone)):
                await settled(tab.page)
                yield name, tab


async def _empty(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    yield "empty"
    await tab.composer.fill("First line\nSecond line\nThird line")
    yield "composing"
    await tab.composer.fill("")


async def _answering(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    stage.app.script.pieces = (RICH[:400], f"{RICH[400:]}\n{WIDE}")
    await tab.send("How does an answer survive a reload? " + "w" * 200)
    await expect(tab.page.get_by_test_id("thinking")).to_be_visible()
    yield "thinking"
    stage.app.script.allow(1)
    await tab.until_shown("An answer lives in a log")
    yield "streaming"
    stage.app.script.allow(2)
    await tab.until_ended()
    await expect(tab.answer.locator(".katex").last).to_be_visible()
    yield "finished"
    stage.app.script.allow(3)
    await tab.answer.get_by_role("button", name="Answer again").click()
    await expect(tab.answer.get_by_test_id("versions")).to_have_text("2/2")
    await tab.until_ended()
    yield "versions"


async def _connection(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    stage.app.script.pieces = PROSE
    await tab.send("And when the connection is cut?")
    stage.app.script.allow(2)
    await tab.until_shown("".join(PROSE[:2]))
    await stage.proxy.set("refuse")
    stage.proxy.cut()
    await tab.until_state("reconnecting")
    yield "reconnecting"
    await tab.page.context.set_offline(True)
    await tab.until_state("offline")
    yield "offline"
    await stage.proxy.set("pass")
    await tab.page.context.set_offline(False)
    stage.app.script.allow(1)
    await tab.until_state("resumed")
    await expect(tab.banner).to_have_count(0)
    yield "resumed"
    await tab.page.reload()
    await tab.until_state("resumed")
    yield "reloaded"
    await stage.proxy.set("hang")
    await tab.stop_button.click()
    await tab.until_state("stopping")
    yield "stopping"
    await stage.proxy.set("pass")
    await tab.until_ended("stopped")
    yield "stopped"


async def _endings(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    stage.app.script.allow(3)
    stage.app.script.pieces = (*PROSE[:2], ModelError("The model refused.", retryable=False))
    await tab.send("And when the model fails?")
    await tab.until_ended("failed")
    yield "failed"
    stage.app.script.pieces = PROSE
    stage.app.script.allow(6)
    await tab.answer.get_by_role("button", name="Try again").click()
    await tab.until_shown("".join(PROSE))
    await tab.until_ended()


async def _anew(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    await begin_again(tab, stage.app, PROSE[:2], PROSE[::-1])
    yield "begins again"
    stage.app.script.allow(1)
    await tab.until_shown(PROSE[-1])
    yield "written anew"
    stage.app.script.allow(len(PROSE))
    await tab.until_ended()
    stage.app.script.pieces = PROSE


async def _parts(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    yields(
        stage.app.script,
        TextDelta("A picture, a table, and where they are from:"),
        File(media_type="image/png", url=picture(320, 180)),
        File(media_type="text/csv", url="data:text/csv,a,b"),
        Citation(url="https://www.example.org/logs", title="A short history of logs"),
        Citation(url="https://docs.example.com/", title=""),
        Finish(reason="length", metadata={"finishReason": "length"}),
    )
    await tab.send("And with pictures?")
    await tab.until_ended()
    await expect(tab.answer.get_by_test_id("sources")).to_be_visible()
    yield "parts, cut at the length limit"
    speaks(stage.app.script)


async def _outbox(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    await tab.send("First")
    stage.app.script.allow(1)
    await tab.until_shown(PROSE[0])
    await tab.send("A second message that waits for the end of the answer" + "w" * 200)
    await expect(tab.waiting).to_have_count(1)
    yield "waiting"
    await tab.waiting.get_by_role("button", name="Discard").click()
    stage.app.script.allow(5)
    await tab.until_ended()
    stage.app.script.allow(6)
    await tab.page.context.set_offline(True)
    await tab.send("Written without a network")
    await expect(tab.page.get_by_test_id("pending")).to_contain_text("Waits")
    yield "outbox"
    await tab.page.context.set_offline(False)
    await expect(tab.questions.last).to_contain_text("Written without")
    await tab.until_ended()
    body = '{"type":"about:blank","status":400,"detail":"This message is too long."}'
    await tab.answer_with(
        "**/api/chat", status=400, body=body, content_type="application/problem+json"
    )
    await tab.send("A message that is refused")
    await expect(tab.waiting).to_have_attribute("data-refused", "true")
    yield "refused"
    await tab.page.unroute("**/api/chat")
    await tab.waiting.get_by_role("button", name="Discard").click()


async def _menus(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    page = tab.page
    await tab.questions.last.hover()
    await tab.questions.last.get_by_role("button", name="Edit message").click()
    yield "editing"
    await page.keyboard.press("Escape")
    await tab.answer.get_by_role("button", name="About this answer").click()
    yield "details"
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Model:").click()
    yield "models"
    await page.keyboard.press("Escape")
    if stage.phone:
        await page.get_by_role("button", name="Toggle sidebar").click()
        yield "drawer"
    await tab.row(TITLES[0]).get_by_role("button", name="Options of").click()
    yield "row menu"
    await page.get_by_role("menuitem", name="Rename").click()
    await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    yield "renaming"
    await page.keyboard.press("Enter")
    await page.get_by_role("searchbox").fill("no such title")
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    yield "search"
    await page.get_by_role("searchbox").fill("")
    await expect(tab.rows).to_have_count(len(TITLES) + 1)
    await page.get_by_role("button", name="Theme:").click()
    yield "themes"
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)
    await tab.row(TITLES[1]).get_by_role("button", name="Options of").click()
    await page.get_by_role("menuitem", name="Delete").click()
    if stage.phone:
        await page.keyboard.press("Escape")
    yield "toast"
    await expect(page.get_by_test_id("toast")).to_have_count(0)  # it goes by itself
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox")).to_be_focused()
    yield "palette"
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("log").focus()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    yield "shortcuts"
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def _problems(tab: ChatPage, stage: Stage) -> AsyncGenerator[str, None]:
    page = tab.page
    path = tab.path
    await page.goto(f"{tab.url}/c/no-such-chat")
    await expect(tab.problem).to_be_visible()
    yield "404"
    await tab.answer_with("**/api/**", status=502, body="")
    await page.goto(tab.url + path)
    await expect(tab.problem).to_be_visible()
    await expect(tab.banner).to_be_visible()
    yield "unreachable"
    await page.unroute("**/api/**")
    await tab.answer_with("**/api/visitor", status=200, body='{"known": false}')
    await page.goto(tab.url)
    await expect(tab.banner).to_have_attribute("data-kind", "cookies")
    await tab.send("This stays in the box")
    yield "no cookies"
    await page.unroute("**/api/visitor")


PARTS = (_empty, _answering, _connection, _endings, _anew, _parts, _outbox, _menus, _problems)
