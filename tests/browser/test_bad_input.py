"""Every failure has a screen or a sentence, and a way to continue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from durable_llm_streams.server import ServerConfig
from tests.app import MODELS, App, running_app
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import NewDevice

pytestmark = pytest.mark.asyncio(loop_scope="session")

PORTAL = {"status": 200, "content_type": "text/html", "body": "<h1>Welcome to the hotel</h1>"}
BROKEN = {"status": 500, "content_type": "text/plain", "body": "Internal Server Error"}


async def problem_of(tab: ChatPage, path: str) -> str:
    """What the screen says about an address that cannot be shown."""
    await tab.page.goto(tab.url + path)
    return await tab.problem.inner_text()


@pytest.mark.promise("owned")
async def test_a_chat_of_another_owner_looks_exactly_like_a_missing_one(
    tab: ChatPage, device: NewDevice
) -> None:
    await tab.ask("A secret")
    async with device() as stranger:
        other = await ChatPage.open(stranger, tab.url)
        theirs = await problem_of(other, tab.path)
        nobodys = await problem_of(other, "/c/there-is-no-such-chat")
        assert theirs == nobodys
        assert "There is no such chat here" in theirs
        for name in ("%00", "%", "a%2Fb", "x" * 200, "%F0%9F%98%80"):
            assert await problem_of(other, f"/c/{name}") == nobodys
        await expect(other.page).to_have_title("Durable LLM Streams")
        await other.problem.get_by_role("button").click()
        await other.ask("Something of my own")


SIGNED_OUT = {"status": 401, "content_type": "application/problem+json", "body": "{}"}


@pytest.mark.promise("outbox")
async def test_an_expired_session_is_reported_and_the_draft_is_kept(tab: ChatPage) -> None:
    await tab.ask("Hi")
    await tab.answer_with("**/api/**", **SIGNED_OUT)
    await tab.send("Are you there?")
    await expect(tab.banner).to_contain_text("Your session has ended.")
    await expect(tab.page.get_by_text("Are you there?")).to_be_visible()
    await tab.composer.fill("a draft")
    await tab.page.unroute("**/api/**")
    await tab.banner.get_by_role("button", name="Reload").click()
    await expect(tab.composer).to_have_value("a draft")
    await expect(tab.answers).to_have_count(2)
    await tab.until_ended()
    said = [text for role, text in await tab.history() if role == "user"]
    assert said == ["Hi", "Are you there?"]


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize("answer", [BROKEN, PORTAL], ids=["500", "captive portal"])
async def test_a_malformed_response_is_retried_until_it_is_valid(
    tab: ChatPage, context: BrowserContext, answer: dict[str, object]
) -> None:
    await tab.ask("Hi")
    path = tab.path
    await tab.answer_with("**/api/**", **answer)
    await tab.page.goto(tab.url + path)
    screen = tab.problem
    await expect(screen).to_contain_text("The chat cannot be loaded.")
    await expect(screen).not_to_contain_text("hotel")
    await expect(tab.banner).to_be_visible()
    await expect(tab.composer).to_be_editable()
    await expect(screen.get_by_role("button", name="Try now")).to_be_enabled()
    await tab.page.unroute("**/api/**")
    await expect(tab.questions).to_have_text(["Hi"])
    await expect(tab.rows).to_have_count(1)
    await expect(tab.banner).to_have_count(0)


def events(*chunks: dict[str, object]) -> str:
    """A stream as a foreign server may send it."""
    numbered = enumerate(map(json.dumps, chunks))
    lines = [f"id: run.{number:08}.aa\ndata: {chunk}\n\n" for number, chunk in numbered]
    return "".join(lines) + "data: [DONE]\n\n"


async def test_what_an_answer_holds_of_a_newer_protocol_is_left_out_with_a_sentence(
    tab: ChatPage,
) -> None:
    body = events(
        {"type": "start", "messageId": "a1", "messageMetadata": {"run": "run"}},
        {"type": "start-step"},
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": "Before, "},
        {"type": "hologram-delta", "id": "h", "delta": {"x": 1}},
        {"type": "text-delta", "id": "t", "delta": "behind."},
        {"type": "text-end", "id": "t"},
        {"type": "finish-step"},
        {"type": "finish", "messageMetadata": {"status": "finished"}},
    )
    headers = {"content-type": "text/event-stream", "x-vercel-ai-ui-message-stream": "v1"}
    await tab.answer_with("**/api/chat", headers=headers, body=body)
    await tab.send("Hi")
    await tab.until_shown("Before, behind.")
    skipped = tab.page.get_by_test_id("skipped")
    await expect(skipped).to_contain_text("needs a newer version of this page")
    await expect(skipped.get_by_role("button", name="Reload")).to_be_visible()


GONE = {"status": 404, "content_type": "application/json", "body": "{}"}


async def test_after_a_deploy_the_text_is_plain_and_a_banner_offers_to_reload(
    app: App, context: BrowserContext
) -> None:
    tab = ChatPage(await context.new_page(), app.url)
    await tab.answer_with("**/assets/markdown-*", **GONE)
    await tab.goto("/")
    app.script.pieces = ("# Title\n\n", "Some **text**.")
    await tab.ask("Hi")
    await expect(tab.answer).to_contain_text("# Title")
    await expect(tab.banner).to_contain_text("A newer version of this page is there.")
    await tab.page.unroute("**/assets/markdown-*")
    await tab.banner.get_by_role("button", name="Reload").click()
    await expect(tab.answer.get_by_role("heading", name="Title")).to_be_visible()
    await expect(tab.banner).to_have_count(0)


async def test_after_a_deploy_the_palette_does_not_open_and_the_chat_continues(
    app: App, context: BrowserContext
) -> None:
    tab = ChatPage(await context.new_page(), app.url)
    await tab.answer_with("**/assets/palette-*", **GONE)
    await tab.goto("/")
    await tab.page.keyboard.press("Control+k")
    await expect(tab.banner).to_contain_text("A newer version")
    await expect(tab.dialog).to_have_count(0)
    await tab.ask("Still here?")


async def test_code_is_complete_without_its_colours(tab: ChatPage, app: App) -> None:
    await tab.ask("First")  # Markdown itself is there; what comes later is not
    await expect(tab.answer.locator("p")).to_have_text("Hello, world.")
    await tab.answer_with("**/assets/*.js", **GONE)
    app.script.pieces = ("```python\nx = [1, 2]\n", "print(x)\n```\n\n$$x^2$$\n\nEnd.")
    await tab.ask("Hi")
    code = tab.answer.get_by_role("group", name="Code, python")
    await expect(code.locator("code")).to_have_text("x = [1, 2]\nprint(x)", use_inner_text=True)
    await expect(tab.answer).to_contain_text("End.")
    assert (await tab.watched()).errors == []


@pytest.mark.promise("outbox")
async def test_a_message_that_is_refused_can_be_made_shorter_or_sent_again(
    tmp_path: Path, built: Path, context: BrowserContext
) -> None:
    config = ServerConfig(models=MODELS, max_message_bytes=100)
    async with running_app(tmp_path, config, ui=built) as app:
        tab = await ChatPage.open(context, app.url)
        await tab.send("x" * 101)
        await expect(tab.waiting).to_have_attribute("data-refused", "true")
        await expect(tab.waiting).to_contain_text("Not sent.")
        await tab.page.reload()
        await expect(tab.waiting).to_contain_text("Not sent.")
        await tab.waiting.get_by_role("button", name="Edit").click()
        await expect(tab.composer).to_have_value("x" * 101)
        await tab.answer_with("**/api/chat", **{**SIGNED_OUT, "status": 400})
        await tab.send("short")
        await expect(tab.waiting).to_contain_text("Not sent.")
        await tab.page.unroute("**/api/chat")
        await tab.waiting.get_by_role("button", name="Try again").click()
        await tab.until_ended()
        assert [role for role, _ in await tab.history()] == ["user", "assistant"]


async def test_a_very_long_title_stays_on_its_line(tab: ChatPage) -> None:
    [chat] = await tab.add_chats(["Hi"])
    title = "Donaudampfschifffahrtsgesellschaft" * 5
    await tab.page.request.patch(f"{tab.url}/api/chats/{chat}", data={"title": title})
    await tab.row("Donau").get_by_role("link").click()
    heading = tab.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text(title)
    for part in (heading, tab.row("Donau")):
        box = await part.bounding_box()
        assert box is not None
        assert box["height"] < 60
    options = tab.page.locator("header").get_by_role("button", name="Options")
    await expect(options).to_be_in_viewport()
    width = await tab.page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 1280
