"""What an answer may hold in addition to text, and how it may end."""

from __future__ import annotations

import base64

import pytest
from playwright.async_api import expect

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Citation, File, Finish, TextDelta
from tests.app import HELLO, App
from tests.browser.chat_page import ChatPage
from tests.browser.scripted import OVERLOADED, picture, yields

pytestmark = pytest.mark.asyncio(loop_scope="session")

SVG = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>").decode()


async def test_pictures_files_and_sources_are_shown_and_still_there_after_a_reload(
    tab: ChatPage, app: App
) -> None:
    yields(
        app.script,
        TextDelta("A picture:"),
        File(media_type="image/png", url=picture(20, 10)),
        TextDelta("And a table."),
        File(media_type="text/csv", url="data:text/csv,a,b"),
        Citation(url="https://www.example.org/page", title="All about pictures"),
        Citation(url="https://other.example/", title=""),
    )
    await tab.send("Show me")
    for _ in range(2):
        await tab.until_ended()
        image = tab.answer.get_by_role("img", name="Picture in the answer: file.png")
        await expect(image).to_be_visible()
        assert await image.evaluate("(image) => image.decode().then(() => image.naturalWidth)")
        said = tab.answer.get_by_test_id("new-text")
        assert (await said.inner_text()).split("\n")[0] == "A picture:"
        table = tab.answer.get_by_role("link", name="file.csv text/csv")
        await expect(table).to_have_attribute("download", "file.csv")
        source = tab.answer.get_by_role("link", name="1 All about pictures example.org")
        await expect(source).to_have_attribute("href", "https://www.example.org/page")
        await expect(source).to_have_attribute("target", "_blank")
        await expect(source).to_have_attribute("rel", "noopener noreferrer nofollow")
        await expect(tab.answer.get_by_role("link", name="2 other.example")).to_be_visible()
        assert await tab.copied() == "A picture:And a table."
        await tab.page.reload()
    assert (await tab.watched()).errors == []


async def test_what_could_run_is_never_shown_in_the_page(tab: ChatPage, app: App) -> None:
    yields(
        app.script,
        File(media_type="image/svg+xml", url=f"data:image/svg+xml;base64,{SVG}"),
        File(media_type="image/png", url="data:text/html,<script>alert(1)</script>"),
        File(media_type="image/png", url="javascript:alert(1)"),
        Citation(url="javascript:alert(1)", title="Click here"),
    )
    await tab.send("Hurt me")
    await tab.until_ended()
    await expect(tab.answer.get_by_test_id("file")).to_have_count(3)
    await expect(tab.answer.locator("img, iframe, object, embed")).to_have_count(0)
    links = await tab.answer.get_by_role("link").evaluate_all(
        "(links) => links.map((link) => [link.protocol, link.hasAttribute('download')])"
    )
    assert links == [["data:", True], ["data:", True]]
    await expect(tab.answer.get_by_test_id("sources")).to_have_count(0)


@pytest.mark.parametrize(
    ("reason", "text", "sentence"),
    [
        ("length", "Half an", "The answer was cut at its length limit."),
        ("content-filter", "", "The provider's filter ended this answer."),
    ],
)
async def test_an_answer_that_did_not_end_by_itself_is_marked(
    tab: ChatPage, app: App, reason: str, text: str, sentence: str
) -> None:
    said = [TextDelta(text)] if text else []
    yields(app.script, *said, Finish(reason=reason, metadata={"finishReason": reason}))
    await tab.send("Hi")
    for _ in range(2):
        await tab.until_ended()
        await expect(tab.answer.get_by_test_id("ending")).to_have_text(sentence)
        await tab.page.reload()


@pytest.mark.promise("honest-failure", "versions")
async def test_a_failed_answer_can_be_asked_for_again_and_stays_reachable(
    tab: ChatPage, app: App
) -> None:
    app.script.pieces = ("Half an ", ModelError(OVERLOADED, retryable=False))
    await tab.send("Hi")
    await tab.until_ended("failed")
    await expect(tab.page.get_by_test_id("ending")).to_contain_text(OVERLOADED)
    assert await tab.assert_exact() == "Half an "
    app.script.pieces = HELLO
    await tab.button("Try again").click()
    await tab.until_ended()
    assert await tab.assert_exact(mounts=None) == "Hello, world."
    versions = tab.answer.get_by_test_id("versions")
    await expect(versions).to_contain_text("2/2")
    await versions.get_by_role("button", name="Previous version").click()
    await tab.page.reload()
    await tab.until_ended("failed")
    await expect(tab.answer).to_contain_text("Half an")
    await expect(tab.page.get_by_test_id("ending")).to_contain_text(OVERLOADED)
