"""An answer that starts over: the text on the screen never shrinks, and nothing jumps."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from durable_llm_streams.errors import ModelError
from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.browser.scripted import OVERLOADED, begin_again, goes_on_in_words
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGAIN = "The answer begins again; the text so far stays until the new one is as long."
OLD = tuple(f"Old paragraph number {number} of some.\n\n" for number in range(1, 9))
NEW = tuple(f"New paragraph number {number} of some.\n\n" for number in range(1, 12))
LONG = tuple(f"Old paragraph number {number} of many.\n\n" for number in range(1, 61))
LONG_NEW = tuple(f"New paragraph number {number} of many.\n\n" for number in range(1, 61))


SAID = "An answer lives in a log on the server, and every reader follows that log at its own"
REST = " pace. When the connection is cut, the reader says what it saw last and goes on there."


async def valid_text(tab: ChatPage) -> str:
    """What a reader gets when selecting the whole conversation."""
    selected: str = await tab.page.evaluate(
        """() => {
          const log = document.querySelector('[role="log"]');
          getSelection().selectAllChildren(log);
          const text = getSelection().toString();
          getSelection().removeAllRanges();
          return text;
        }"""
    )
    return selected


@pytest.mark.promise("one-clean-answer")
async def test_the_text_of_a_cut_attempt_stays_until_the_new_one_is_as_long(
    tab: ChatPage, app: App
) -> None:
    await begin_again(tab, app, OLD, NEW)
    await expect(tab.state).to_contain_text(AGAIN)
    await expect(tab.answer).to_contain_text("Text of the attempt that was cut off")
    announced = "The answer was cut off and begins again."
    await expect(tab.page.get_by_test_id("announcer")).to_have_text(announced)
    for said in range(1, len(OLD)):
        app.script.allow()
        await tab.until_shown("".join(NEW[:said]))
        await expect(tab.cut).to_contain_text("Old paragraph number 8 of some.")
        await expect(tab.state).to_have_text(AGAIN)
    await assert_for_the_eyes_alone(tab, "Old paragraph number 8", "New paragraph number 2")
    app.script.allow(len(NEW) - len(OLD) + 1)
    await tab.until_shown("".join(NEW))
    await expect(tab.cut).to_have_count(0)
    app.script.free()
    await tab.until_ended()
    assert await tab.assert_exact(resets=1) == "".join(NEW)
    assert (await tab.watched()).shrunk == []


async def assert_for_the_eyes_alone(tab: ChatPage, void: str, valid: str) -> None:
    """Selection, search and screen readers get the valid text, not the dropped one."""
    selected = await valid_text(tab)
    assert (valid in selected, void in selected) == (True, False), selected
    assert void not in await tab.answer.aria_snapshot()
    found = "(text) => window.find(text, true, false, true)"
    assert [await tab.page.evaluate(found, text) for text in (valid, void)] == [True, False]


async def test_nothing_moves_for_a_reader_at_the_end(tab: ChatPage, app: App) -> None:
    await begin_again(tab, app, LONG, LONG_NEW)
    end = await tab.top()
    app.script.allow(20)
    await tab.until_shown("".join(LONG_NEW[:20]))
    assert await tab.top() == end
    app.script.free()
    await tab.until_ended()
    assert (await tab.watched()).shrunk == []
    await tab.assert_exact(resets=1)


async def test_nothing_moves_for_a_reader_further_up(tab: ChatPage, app: App) -> None:
    app.script.pieces = (*LONG, ModelError(OVERLOADED, retryable=True))
    await tab.begin(app, "At length", len(LONG))
    await tab.scroll_up(700)
    line = tab.answer.get_by_text("Old paragraph number 40 of many.")
    await expect(line).to_be_in_viewport()
    at = await line.bounding_box()
    app.script.pieces = LONG_NEW
    app.script.allow()
    await tab.cut.wait_for()
    before = await tab.top()
    now = await line.bounding_box()
    assert at is not None
    assert now is not None
    assert abs(now["y"] - at["y"]) <= 2
    app.script.allow(58)
    await tab.until_shown("".join(LONG_NEW[:58]))
    assert abs(await tab.top() - before) <= 2
    app.script.free()
    await tab.until_ended()
    assert abs(await tab.top() - before) <= 2
    assert (await tab.watched()).shrunk == []
    await tab.assert_exact(resets=1)


async def test_a_model_that_starts_over_when_asked_to_continue_is_a_restart(
    tab: ChatPage, app: App
) -> None:
    whole = SAID + REST
    gate = goes_on_in_words(app.script, SAID, whole)
    await tab.send("Hi")
    await tab.until_shown(SAID)
    gate.set()
    await expect(tab.state).to_contain_text("The model was asked to go on where it was cut off.")
    gate.set()
    await tab.until_ended()
    assert await tab.assert_exact(resets=1) == whole
    assert (await tab.watched()).shrunk == []
    await tab.answer.get_by_role("button", name="About this answer").click()
    about = tab.page.get_by_role("dialog", name="About this answer")
    await expect(about).to_contain_text("asked to go on… butbegun again")


async def test_a_retry_shows_why_and_when(tab: ChatPage, app: App) -> None:
    app.script.pieces = ("Hello", ModelError(OVERLOADED, retryable=True, retry_after=2.0))
    await tab.send("Hi")
    wait = f"{OVERLOADED} Trying again in"
    await until(tab.state.inner_text, lambda text: text.startswith(wait))
    app.script.pieces = ("Hello, world.",)
    app.script.hold()
    await expect(tab.state).to_contain_text("Attempt 2 of 5")
    app.script.free()
    await tab.until_ended()
    await tab.assert_exact(resets=1)
