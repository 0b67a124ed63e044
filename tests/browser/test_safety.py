"""A model's words are data: nothing in them runs, loads, or takes the place of the page."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.app import App
from tests.browser.chat_page import ChatPage
from tests.node import WEB, node_command
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.promise("harmless-text")]

#: A host that must get no request.
EVIL = "http://evil.example"
RUN = "window.__pwned=1"

#: What must never be in the conversation, with the start of the text around it.
FORBIDDEN = """() => {
  const tags = "script,iframe,frame,object,embed,form,style,link,meta,base,video,audio,source,"
    + "picture,template,noscript,marquee,animate,foreignObject,annotation-xml,"
    + "input:not([type=checkbox][disabled])";
  const names = /^(on.*|srcdoc|srcset|formaction|ping|background)$/;
  const addresses = /^(xlink:)?(href|src|action|data)$/;
  const harmless =
    /^(https?:|mailto:|#user-content-|data:image\\/(png|jpe?g|gif|webp|avif);base64,)/;
  const found = [];
  const log = document.querySelector("[role=log]");
  for (const element of log.querySelectorAll(tags)) found.push(element.outerHTML.slice(0, 200));
  for (const element of log.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      const bad = names.test(name) || (addresses.test(name) && !harmless.test(value))
        || (name === "src" && !value.startsWith("data:"))
        || (name === "style" && /url\\(|position:\\s*fixed|expression|@import/i.test(value))
        || (name === "target" && value !== "_blank");
      if (bad) found.push(`${name}=${value} in ${element.outerHTML}`.slice(0, 250));
    }
  }
  if (document.querySelector("[id=composer]").tagName !== "TEXTAREA") found.push("#composer");
  return [...new Set(found)];
}"""

#: Looks at the conversation all the time, and listens to the policy.
WATCH = f"""
window.violations = [];
window.forbidden = [];
document.addEventListener("securitypolicyviolation", (event) => {{
  window.violations.push(`${{event.effectiveDirective}} ${{event.blockedURI}} ${{event.sample}}`);
}});
const look = {FORBIDDEN};
const again = () => {{
  if (document.querySelector("[role=log]")) window.forbidden.push(...look());
  setTimeout(again, 40);
}};
again();
"""


class Watch:
    """Notes what a page should not do: ask other hosts, open boxes, complain on the console."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.notes: list[str] = []
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("dialog", self._note_dialog)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.origin + "/", "data:")):
            self.notes.append(f"asked for {request.url}")

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self.notes.append(message.text)

    async def _note_dialog(self, dialog: Any) -> None:
        self.notes.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    async def assert_clean(self) -> None:
        """Nothing ran, nothing was asked for elsewhere, and the policy had nothing to forbid."""
        found: dict[str, Any] = await self.page.evaluate(
            "() => ({ pwned: window.__pwned, refused: violations, forbidden })"
        )
        assert not any((*found.values(), self.notes)), (found, self.notes)
        assert self.page.url.startswith(self.origin)


@pytest_asyncio.fixture(loop_scope="session")
async def watched(app: App, context: BrowserContext) -> AsyncIterator[tuple[ChatPage, Watch]]:
    """A tab whose every step outside is noted."""
    await context.add_init_script(WATCH)
    page = await context.new_page()
    watch = Watch(page, app.url)
    tab = ChatPage(page, app.url)
    await tab.goto("/")
    yield tab, watch
    await watch.assert_clean()


async def test_what_is_forbidden_would_be_found(tab: ChatPage) -> None:
    await tab.ask("Hi")
    assert await tab.page.evaluate(FORBIDDEN) == []
    await tab.page.evaluate(
        """() => {
          const bad = document.createElement("div");
          bad.innerHTML = '<a href="javascript:0">x</a><img src="/x.png"><iframe></iframe>'
            + '<b onclick="0">x</b><i style="background:url(/x)">x</i>';
          document.querySelector("[role=log]").append(bad);
        }"""
    )
    assert len(await tab.page.evaluate(FORBIDDEN)) >= 5


def payloads() -> list[str]:
    """The hostile texts that Vitest renders too, whole and cut off anywhere, but without a page."""
    declared = "export const hostile: string[] ="
    source = (WEB / "src/markdown/hostile.ts").read_text().replace(declared, "const hostile =")
    command = [*node_command(), "-e", f"{source}\nconsole.log(JSON.stringify(hostile))"]
    found: list[str] = json.loads(subprocess.check_output(command))
    return [text for text in found if "\0" not in text]  # the clipboard keeps no NUL


FRAMES = """async (count) => {
  for (let n = 0; n < count; n++) await new Promise(requestAnimationFrame);
}"""


async def test_no_hostile_markdown_runs_or_loads_anything_at_any_moment(
    watched: tuple[ChatPage, Watch], app: App
) -> None:
    tab, watch = watched
    rng, texts = random.Random(0), payloads()
    assert len(set(texts)) >= 80
    rng.shuffle(texts)
    text = "\n\n".join(["Before.", *texts, "Behind everything."])
    # Cut as a model's tokens might be, through the middle of any tag.
    cuts = sorted(rng.sample(range(1, len(text)), len(text) // 7))
    app.script.pieces = tuple(text[a:b] for a, b in pairwise([0, *cuts, len(text)]))
    app.script.hold()
    await tab.send("Attack")
    for _ in range(len(app.script.pieces) // 30):
        app.script.allow(30)
        await tab.page.evaluate(FRAMES, 5)
    app.script.free()
    await tab.until_ended()
    await expect(tab.answer).to_contain_text("Behind everything.")
    await watch.assert_clean()
    await tab.page.reload()
    await expect(tab.answer).to_contain_text("Behind everything.")
    assert await tab.page.evaluate(FORBIDDEN) == []
    assert await tab.copied() == text


async def test_links_lead_out_only_by_a_click_and_pass_no_opener_or_referrer(
    watched: tuple[ChatPage, Watch], app: App, context: BrowserContext
) -> None:
    tab, _ = watched
    app.script.pieces = (f"[a link]({EVIL}/page) ![a picture]({EVIL}/pixel.png)\n",)
    await tab.ask("Where?")
    link = tab.answer.get_by_role("link", name="a link")
    await expect(link).to_have_attribute("title", f"{EVIL}/page")
    assert set((await link.get_attribute("rel") or "").split()) >= {"noopener", "noreferrer"}
    picture = tab.answer.get_by_role("link", name="evil.example")
    await expect(picture).to_have_attribute("href", f"{EVIL}/pixel.png")
    await expect(tab.answer.locator("img")).to_have_count(0)
    asked: list[Any] = []

    async def answer(route: Any) -> None:
        asked.append(route.request)
        await route.fulfill(body="<title>Elsewhere</title>", content_type="text/html")

    await context.route(f"{EVIL}/**", answer)
    async with context.expect_page() as opened:
        await link.click()
    beside = await opened.value
    await beside.wait_for_url(f"{EVIL}/page")
    assert await beside.evaluate("() => [window.opener, document.referrer]") == [None, ""]
    assert [request.url for request in asked if "pixel" in request.url] == []


async def test_questions_and_titles_are_text(watched: tuple[ChatPage, Watch]) -> None:
    tab, watch = watched
    for hostile in (
        f"<img src=x onerror={RUN}><script>{RUN}</script>",
        f"[js](javascript:{RUN}) ![p]({EVIL}/p.png)",
        "\u202egnp.exe <b>bold</b>",
    ):
        await tab.goto("/")
        await tab.ask(hostile)
        await expect(tab.questions.first).to_contain_text(hostile)
        await expect(tab.rows.first).to_contain_text(hostile[:10])
        await expect(tab.page.locator("aside img, aside b, header img, header b")).to_have_count(0)
        await tab.page.keyboard.press("Control+k")
        await expect(tab.page.get_by_role("option").last).to_be_visible()
        await tab.page.keyboard.press("Escape")
        await watch.assert_clean()
    assert await tab.page.evaluate(FORBIDDEN) == []


async def test_the_policy_allows_no_script_but_the_interface_s_own(
    app: App, context: BrowserContext
) -> None:
    await context.add_init_script(WATCH)
    page = await context.new_page()
    await page.goto(app.url)
    await page.evaluate(
        """(run) => {
          const script = document.createElement("script");
          script.textContent = run;
          document.body.append(script);
          const image = document.createElement("div");
          image.innerHTML = `<img src="data:image/png;base64,x" onerror="${run}">`;
          document.body.append(image);
          location.hash = "";
          const link = document.createElement("a");
          link.href = `javascript:${run}`;
          document.body.append(link);
          link.click();
        }""",
        RUN,
    )
    refused = await until(
        lambda: page.evaluate("() => window.violations"), lambda found: len(found) >= 3
    )
    assert await page.evaluate("() => window.__pwned") is None
    assert all(violation.startswith("script-src") for violation in refused), refused
