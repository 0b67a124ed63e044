"""What the model does wrong is said, and nothing of it is lost."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from durable_llm_streams.errors import ModelError
from tests.app import HELLO, App
from tests.browser.chat_page import ChatPage
from tests.browser.screens_support import begin

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "The model is overloaded."


@pytest.mark.promise("honest-failure", "versions")
async def test_a_failed_answer_can_be_asked_for_again_and_stays_reachable(
    tab: ChatPage, app: App
) -> None:
    app.script.pieces = ("Half an ", ModelError(SENTENCE, retryable=False))
    await tab.send("Hi")
    await tab.until_ended("failed")
    await expect(tab.page.get_by_test_id("ending")).to_contain_text(SENTENCE)
    assert await tab.assert_exact() == "Half an "
    await tab.page.reload()
    await tab.until_ended("failed")
    await expect(tab.page.get_by_test_id("ending")).to_contain_text(SENTENCE)
    app.script.pieces = HELLO
    await tab.page.get_by_role("button", name="Try again").click()
    await tab.until_ended()
    assert await tab.assert_exact(mounts=None) == "Hello, world."
    versions = tab.answer.get_by_test_id("versions")
    await expect(versions).to_contain_text("2/2")
    await versions.get_by_role("button", name="Previous version").click()
    await tab.until_ended("failed")
    await expect(tab.answer).to_contain_text("Half an")
    await expect(tab.page.get_by_test_id("ending")).to_contain_text(SENTENCE)
    await tab.page.reload()
    await tab.until_ended("failed")
    await tab.answer.get_by_role("button", name="Next version").click()
    await tab.until_ended()
    assert await tab.assert_exact(mounts=None) == "Hello, world."


@pytest.mark.promise("one-clean-answer")
async def test_another_attempt_of_the_model_is_said_and_keeps_one_copy(
    tab: ChatPage, app: App
) -> None:
    app.script.pieces = ("Hello", ModelError(SENTENCE, retryable=True))
    await begin(tab, app, "Hi")
    app.script.pieces = HELLO
    app.script.allow(1)
    await tab.until_state("retrying")
    await expect(tab.state).to_contain_text("Attempt 2 of 5")
    app.script.free()
    await tab.until_ended()
    assert await tab.assert_exact(resets=1) == "Hello, world."
    assert len(app.script.prompts) == 2
