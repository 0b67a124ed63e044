"""The thread: versions of a message, what can be copied, thoughts, the bill, endings, addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Locator, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.fake_provider import FakeProvider
from tests.processes import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUGGESTION = "Explain durable streams, while I switch off the network"


def button(message: Locator, name: str) -> Locator:
    return message.get_by_role("button", name=name)


async def test_a_suggestion_is_sent_as_it_stands(tab: ChatPage) -> None:
    await tab.page.get_by_role("button", name=SUGGESTION).click()
    await tab.until_ended()
    assert (await tab.history())[0] == ("user", SUGGESTION)
    await expect(tab.page).to_have_url(re.compile("/c/"))
    await expect(tab.composer).to_be_focused()


@pytest.mark.promise("versions")
async def test_another_answer_is_a_version_of_the_first_and_both_continue(
    tab: ChatPage, app: App
) -> None:
    await tab.ask("Hi")
    app.script.pieces = ("Good", " evening")
    await button(tab.answer, "Answer again").click()
    await tab.until_shown("Good evening")
    await tab.until_ended()
    versions = tab.answers.first.get_by_test_id("versions")
    await expect(versions).to_have_text("2/2")
    await expect(button(versions, "Next version")).to_be_disabled()
    await button(versions, "Previous version").click()
    await tab.until_shown("Hello, world.")
    await expect(versions).to_have_text("1/2")
    await expect(tab.page).to_have_url(re.compile(r"\?leaf="))
    await tab.page.reload()
    await tab.until_shown("Hello, world.")
    await expect(versions).to_have_text("1/2")
    await button(versions, "Next version").click()
    await tab.until_shown("Good evening")
    await button(versions, "Previous version").click()
    await tab.until_shown("Hello, world.")
    await tab.ask("And then?")
    asked = [turn.text for turn in app.script.prompts[-1].turns]
    assert asked == ["Hi", "Hello, world.", "And then?"]
    await tab.page.reload()
    await expect(tab.questions).to_have_text(["Hi", "And then?"])
    await expect(versions).to_have_text("1/2")


@pytest.mark.promise("versions")
async def test_an_edited_question_is_a_version_with_its_own_answer(tab: ChatPage, app: App) -> None:
    await tab.ask("Whta?")
    await tab.ask("And then?")
    app.script.pieces = ("Better",)
    await tab.questions.first.hover()
    edit = button(tab.questions.first, "Edit message")
    editor = tab.page.get_by_role("textbox", name="Edit message")
    await edit.click()
    await editor.fill("given up")
    await editor.press("Escape")
    await expect(tab.questions).to_have_text(["Whta?", "And then?"])
    await expect(edit).to_be_focused()
    assert len(await tab.history()) == 4
    await edit.click()
    await expect(editor).to_be_focused()
    await expect(editor).to_have_value("Whta?")
    await editor.fill("What?")
    await editor.press("Enter")
    await tab.until_shown("Better")
    await tab.until_ended()
    await expect(tab.questions).to_contain_text(["What?"])
    versions = tab.questions.first.get_by_test_id("versions")
    await expect(versions).to_have_text("2/2")
    await button(versions, "Previous version").click()
    await expect(tab.questions).to_contain_text(["Whta?", "And then?"])
    assert [turn.text for turn in app.script.prompts[-1].turns] == ["What?"]


MARKDOWN = """# Title

Text with *marks*,\ttabs and trailing spaces  \nand `code`.

```python
def f(x):
\treturn "<b>" + x   # 日本

print(f("1"))
```

| a | b |
|---|---|
| 1 | $x^2$ |
"""
CODE = 'def f(x):\n\treturn "<b>" + x   # 日本\n\nprint(f("1"))'


async def test_what_is_copied_is_exactly_what_was_written(tab: ChatPage, app: App) -> None:
    app.script.pieces = tuple(re.findall(r"[\s\S]{1,7}", MARKDOWN))
    await tab.ask("Show me")
    assert await tab.copied() == MARKDOWN
    block = tab.answer.get_by_role("group", name="Code, python")
    await expect(block).to_be_visible()
    await button(tab.answer, "Copy code").click()
    await expect(button(tab.answer, "Copied")).to_be_visible()
    assert await tab.page.evaluate("() => navigator.clipboard.readText()") == CODE
    await expect(block.locator("code")).to_have_text(CODE, use_inner_text=True)


async def test_thoughts_usage_and_cost_of_a_provider_are_shown_on_demand(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with FakeProvider() as provider:
        settings = {"OPENAI_BASE_URL": provider.base_url, "DLS_MODEL": "biller"}
        async with serving(tmp_path, settings) as server:
            tab = await ChatPage.open(context, server.url)
            provider.plan("reasoning=4,stall_after=0", "reasoning=4,tokens=3", "tokens=1234")
            await tab.send("Think")
            thoughts = button(tab.answer, "Thinking…")
            await expect(thoughts).to_have_attribute("aria-expanded", "true")
            await expect(tab.answer).to_contain_text("r1 r2 r3 r4")
            await tab.stop_button.click()
            await tab.until_ended("stopped")

            await tab.ask("Again")
            thoughts = button(tab.answer, "Thoughts")
            await expect(thoughts).to_have_attribute("aria-expanded", "false")
            await expect(tab.answer).not_to_contain_text("r1 r2")
            await thoughts.click()
            await expect(tab.answer).to_contain_text("r1 r2 r3 r4")
            assert await tab.copied() == "w1 w2 w3 "

            await tab.ask("What does it cost?")
            await expect(tab.page.get_by_text("$")).to_have_count(0)
            await button(tab.answer, "About this answer").click()
            terms = await tab.dialog.get_by_role("term").all_inner_texts()
            values = await tab.dialog.get_by_role("definition").all_inner_texts()
    rows = dict(zip(terms, values, strict=True))
    timing = [rows.pop(name) for name in ("First words after", "Whole answer")]
    assert rows == {
        "Model": "biller-used",
        "Question": "7 tokens",
        "… of it cached": "3 tokens",
        "Answer": "1,234 tokens",
        "… of it thoughts": "2 tokens",
        "Cost": "$0.00125",
    }
    assert all(re.fullmatch(r"\d+(\.\d\d)? s", value) for value in timing), timing


async def test_each_chat_has_an_address_that_the_browser_remembers(
    tab: ChatPage, context: BrowserContext
) -> None:
    await tab.ask("First chat")
    first = tab.path
    await tab.button("New chat").click()
    await tab.ask("Second chat")
    second = tab.path
    assert first != second
    await tab.page.go_back()  # the first message has left no empty chat behind
    await expect(tab.questions).to_have_text(["First chat"])
    await tab.page.go_forward()
    await expect(tab.questions).to_have_text(["Second chat"])
    await tab.row("First chat").get_by_role("link").click()
    await expect(tab.questions).to_have_text(["First chat"])
    await tab.page.go_back()
    await expect(tab.questions).to_have_text(["Second chat"])
    assert tab.path == second
    await tab.page.go_forward()
    await expect(tab.questions).to_have_text(["First chat"])
    async with context.expect_page() as opened:
        await tab.row("Second chat").get_by_role("link").click(modifiers=["ControlOrMeta"])
    beside = await opened.value
    await expect(beside.get_by_test_id("message").first).to_have_text("Second chat")
    assert tab.path == first
    direct = await ChatPage.open(context, tab.url, second)
    await expect(direct.questions).to_have_text(["Second chat"])
    await expect(direct.page).to_have_title("Second chat")
    await expect(direct.row("Second chat").get_by_role("link")).to_have_attribute(
        "aria-current", "page"
    )
