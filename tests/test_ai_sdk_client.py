"""The unmodified AI SDK client (`AbstractChat`, `DefaultChatTransport`) against the real server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.ai_sdk_browser import Browser, Page, text_of
from tests.fake_provider import ODD, SECRET_WORDS, FakeProvider, answer
from tests.node import node_program
from tests.processes import ServerProcess, serving
from tests.redis_servers.ports import unused_port
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

__all__ = ["node_program"]

# One server for the whole module, in one loop; a provider, a visitor and a chat for each test.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.promise("compatible")]

SLOW = "tokens=60,rate=60"
SLOWER = "tokens=60,rate=20"
WHOLE = answer(60)


class Scene(NamedTuple):
    """What most tests work with: a visitor's browser, a chat that does not exist yet, a server."""

    server: ServerProcess
    provider: FakeProvider
    browser: Browser
    chat: str

    async def open(self, base: str | None = None) -> Page:
        """A page on the new chat."""
        return await self.browser.open(base or self.server.url, self.chat)

    async def reload(self, base: str | None = None) -> Page:
        """A page as an application opens it on a chat that exists: with what the server has."""
        messages = (await self.stored())["messages"]
        return await self.browser.open(base or self.server.url, self.chat, messages)

    async def stored(self) -> dict[str, Any]:
        """The chat as the server has it."""
        url = f"{self.server.url}/api/chats/{self.chat}"
        status, body = await self.browser.fetch(url)
        assert status == 200, body
        found: dict[str, Any] = body
        return found

    async def stop(self) -> int:
        """The stop endpoint."""
        url = f"{self.server.url}/api/chat/{self.chat}/stop"
        return (await self.browser.fetch(url, "POST"))[0]

    def asked(self) -> list[tuple[str, str]]:
        """What the provider was asked last: role and text of each message."""
        messages = self.provider.requests[-1].body["messages"]
        return [(message["role"], message["content"]) for message in messages]


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [text_of(message) for message in messages]


def settings(provider_port: int) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{provider_port}/v1",
        "DLS_MODEL": "fake:",
        "DLS_ATTEMPTS": "2",
        "DLS_LEASE": "1",
        "DLS_TOKEN_TIMEOUT": "600",  # answers are held
    }


@pytest.fixture(scope="module")
def provider_port() -> int:
    return unused_port()


@pytest_asyncio.fixture(loop_scope="module")
async def provider(provider_port: int) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(provider_port) as provider:
        yield provider


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(
    provider_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    async with serving(tmp_path_factory.mktemp("server"), settings(provider_port)) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def scene(
    node_program: list[str], server: ServerProcess, provider: FakeProvider
) -> AsyncIterator[Scene]:
    async with Browser(node_program) as browser:
        await browser.fetch(f"{server.url}/api/models")  # brings the visitor's cookie
        yield Scene(server, provider, browser, f"chat-{secrets.token_hex(6)}")


@pytest_asyncio.fixture(loop_scope="module")
async def doomed(
    scene: Scene, provider_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """A scene with a server of its own, to be ended."""
    environment = {**settings(provider_port), "DLS_GRACE": "0"}
    async with serving(tmp_path_factory.mktemp("doomed"), environment) as server:
        await scene.browser.fetch(f"{server.url}/api/models")
        yield scene._replace(server=server)


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(server: ServerProcess) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(server.port) as proxy:
        yield proxy


@pytest.mark.promise("history-is-fold")
@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("tokens=5", answer(5)),
        ("tokens=5,reasoning=3,odd", answer(5) + ODD),
        ("tokens=5,finish=length", answer(5)),
        ("tokens=5,error_after=3,times=1", answer(20)),
    ],
)
async def test_the_message_on_the_screen_is_the_message_in_the_history(
    scene: Scene, script: str, text: str
) -> None:
    scene.provider.plan(script)
    page = await scene.open()
    state = await page.settled(page.send("Hello \u2028 \U0001f30d"))
    assert state.status == "ready"
    assert state.text == text
    assert state.messages == (await scene.stored())["messages"]


async def test_a_conversation_continues_with_all_earlier_messages(scene: Scene) -> None:
    page = await scene.open()
    scene.provider.plan("tokens=2", "tokens=3")
    first = await page.settled(page.send("one"))
    assert first.statuses == ["submitted", "streaming", "ready"]
    end = {"isAbort": False, "isDisconnect": False, "isError": False, "finishReason": "stop"}
    assert first.ends == [end]
    assert scene.asked() == [("user", "one")]
    state = await page.settled(page.send("two"))
    assert texts(state.messages) == ["one", answer(2), "two", answer(3)]
    assert scene.asked() == [("user", "one"), ("assistant", answer(2)), ("user", "two")]
    assert state.messages == (await scene.stored())["messages"]


async def resumed_after_cuts(page: Page, proxy: TcpProxy, size: int, times: int) -> None:
    """Send, lose the connection after so many bytes so many times, and resume after each."""
    proxy.cut_after(size)
    await page.send("Hello")
    for number in range(1, times + 1):
        state = await page.settled()
        assert (state.status, proxy.cuts) == ("error", number), f"cut after {size} bytes"
        if number < times:
            proxy.cut_after(size)
        await page.resume()
    await until(page.state, lambda state: state.requests[-1]["status"] == 200, "a resumed stream")


@pytest.mark.promise("prefix")
async def test_after_a_reset_anywhere_resuming_gives_the_whole_answer_once(
    scene: Scene, proxy: TcpProxy
) -> None:
    points, held = 20, answer(59)
    scene.provider.held = b"w60 "  # no answer ends before its reader has resumed
    scene.provider.plan(*["tokens=60"] * (points + 1))
    page = await scene.open(proxy.url)
    await page.send("Hello")
    await page.shows(len(held))
    proxy.cut()
    await page.settled()
    before = proxy.sent
    page = await scene.open(proxy.url)  # without the received text, so all of it comes again
    await page.resume()
    await page.shows(len(held))
    shortest = proxy.sent - before  # no stream has fewer bytes: its deltas are merged
    sizes = [1 + shortest * 9 * point // (10 * points) for point in range(points)]
    scenes = [scene._replace(chat=f"{scene.chat}-cut-after-{size}") for size in sizes]
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(TcpProxy(scene.server.port)) for _ in range(points)
        ]
        pages = [await each.open(way.url) for each, way in zip(scenes, proxies, strict=True)]
        cuts = zip(pages, proxies, sizes, strict=True)
        await asyncio.gather(
            *(resumed_after_cuts(*each, 1 + number % 2) for number, each in enumerate(cuts))
        )
        scene.provider.held = b""
        states = await asyncio.gather(*(each.settled() for each in pages))
    for each, state in zip(scenes, states, strict=True):
        assert (state.status, state.text, len(state.answers)) == ("ready", WHOLE, 1)
        assert state.messages == (await each.stored())["messages"]
    assert len(scene.provider.requests) == points + 1


@pytest.mark.promise("prefix")
async def test_a_reloaded_page_shows_the_text_so_far_and_follows_the_rest(
    scene: Scene, proxy: TcpProxy
) -> None:
    scene.provider.plan(SLOW)
    before = await scene.open(proxy.url)
    await before.send("Hello")
    seen = await before.shows(30)
    proxy.cut()
    after = await scene.reload(proxy.url)
    shown = await after.state()
    assert [message["id"] for message in shown.messages] == [m["id"] for m in seen.messages]
    assert shown.text.startswith(seen.text)
    state = await after.settled(after.resume())
    assert state.text == WHOLE
    assert len(state.answers) == 1
    assert state.messages == (await scene.stored())["messages"]


async def test_resuming_where_nothing_is_written_is_204_and_changes_nothing(scene: Scene) -> None:
    """`useChat({ id, resume: true })` does so when it is mounted, before there is a chat, too."""
    page = await scene.open()
    state = await page.settled(page.resume())
    nothing = {"method": "GET", "path": f"/api/chat/{scene.chat}/stream", "status": 204}
    assert (state.status, state.error, state.messages) == ("ready", None, [])
    assert state.requests == [nothing]
    before = await page.settled(page.send("Hello"))
    assert before.text == answer(20)
    page = await scene.reload()
    state = await page.settled(page.resume())
    assert (state.status, state.error, state.messages) == ("ready", None, before.messages)
    assert state.requests == [nothing]


async def test_regenerating_gives_another_answer_to_the_same_question(scene: Scene) -> None:
    scene.provider.plan("tokens=2,word=a", "tokens=2,word=b")
    page = await scene.open()
    first = await page.settled(page.send("Hello"))
    second = await page.settled(page.regenerate())
    assert second.text == answer(2, "b")
    assert len(second.messages) == 2
    assert second.messages[0] == first.messages[0]
    assert second.messages[1]["id"] != first.messages[1]["id"]
    chat = await scene.stored()
    assert second.messages == chat["messages"]
    assert first.messages[1]["id"] in [version["id"] for version in chat["versions"]]
    assert scene.asked() == [("user", "Hello")]


async def test_messages_after_an_edit_continue_from_the_edited_question(scene: Scene) -> None:
    scene.provider.plan("tokens=2,word=a", "tokens=2,word=b", "tokens=2,word=c")
    page = await scene.open()
    question = (await page.settled(page.send("first"))).messages[0]["id"]
    await page.settled(page.send("second"))
    state = await page.settled(page.send("better", question))
    stored = (await scene.stored())["messages"]
    assert texts(state.messages) == texts(stored) == ["better", answer(2, "c")]
    assert scene.asked() == [("user", "better")]
    assert state.messages[1] == stored[1]
    await page.settled(page.send("more"))
    assert scene.asked() == [("user", "better"), ("assistant", answer(2, "c")), ("user", "more")]


@pytest.mark.parametrize("named", [False, True], ids=["the last answer", "a named answer"])
async def test_regenerating_after_an_edit_answers_the_edited_question(
    scene: Scene, *, named: bool
) -> None:
    page = await scene.open()
    question = (await page.settled(page.send("first"))).messages[0]["id"]
    edited = await page.settled(page.send("better", question))
    state = await page.settled(page.regenerate(edited.messages[1]["id"] if named else None))
    assert scene.asked() == [("user", "better")]
    assert state.messages[1]["id"] != edited.messages[1]["id"]


@pytest.mark.promise("versions")
async def test_an_edit_after_an_edit_is_one_more_version_of_the_same_question(scene: Scene) -> None:
    page = await scene.open()
    question = (await page.settled(page.send("first"))).messages[0]["id"]
    for text in ["second", "third", "first", "second"]:
        state = await page.settled(page.send(text, question))
        assert state.status == "ready"
        assert text_of(state.messages[0]) == text
        shown = (await scene.stored())["messages"]
        assert texts(shown) == [text, state.text]


@pytest.mark.promise("honest-failure")
async def test_the_text_before_a_failure_stays(scene: Scene) -> None:
    scene.provider.plan("tokens=9,cut_after=7", "tokens=9,cut_after=5")
    page = await scene.open()
    state = await page.settled(page.send("Hello"))
    assert state.status == "error"
    assert state.text == answer(7)  # the second attempt came less far
    assert state.messages == (await scene.stored())["messages"]


async def test_after_a_failure_the_answer_can_be_tried_again(scene: Scene) -> None:
    scene.provider.plan("status=401", "tokens=3")
    page = await scene.open()
    failed = await page.settled(page.send("Hello"))
    assert failed.status == "error"
    assert (failed.error or "").endswith(".")
    for secret in [*SECRET_WORDS.split(), scene.provider.base_url, "Traceback", "{"]:
        assert secret not in (failed.error or "")
    state = await page.settled(page.regenerate())
    assert state.status == "ready"
    assert texts(state.messages) == ["Hello", answer(3)]
    assert state.messages == (await scene.stored())["messages"]


@pytest.mark.promise("stop")
async def test_a_stop_from_elsewhere_ends_the_stream_and_keeps_the_text_so_far(
    scene: Scene,
) -> None:
    scene.provider.plan(SLOW)
    page = await scene.open()
    await page.send("Hello")
    seen = await page.shows(30)
    assert await scene.stop() == 200
    state = await page.settled()
    assert state.status == "ready"
    assert state.text.startswith(seen.text)
    assert WHOLE.startswith(state.text)
    assert state.text != WHOLE
    assert state.messages[1]["parts"][-1]["state"] == "done"
    chat = await scene.stored()
    assert state.messages == chat["messages"]
    assert chat["active_run"] is None
    after = await page.settled(page.resume())
    assert after.requests[-1]["status"] == 204
    assert after.messages == state.messages


async def test_the_clients_own_stop_only_leaves_and_the_answer_can_be_resumed(scene: Scene) -> None:
    scene.provider.plan(SLOW)
    page = await scene.open()
    await page.send("Hello")
    await page.shows(30)
    await page.stop()
    left = await page.state()
    assert left.status == "ready"
    assert left.ends[-1]["isAbort"]
    state = await page.settled(page.resume())
    assert state.text == WHOLE
    assert len(state.answers) == 1


@pytest.mark.promise("stop")
async def test_after_the_clients_own_stop_the_next_question_is_answered(scene: Scene) -> None:
    scene.provider.plan("tokens=600,rate=20", "tokens=3")
    page = await scene.open()
    await page.send("Hello")
    seen = await page.shows(30)
    await page.stop()
    state = await page.settled(page.send("And now?"))
    assert (state.status, state.error) == ("ready", None)
    assert [message["role"] for message in state.messages] == ["user", "assistant"] * 2
    assert state.text == answer(3)
    stored = (await scene.stored())["messages"]
    assert [message["id"] for message in stored] == [message["id"] for message in state.messages]
    assert text_of(stored[1]).startswith(seen.text)
    assert len(text_of(stored[1])) < len(answer(600))
    assert scene.asked()[-1] == ("user", "And now?")


@pytest.mark.promise("takeover", "hand-over")
@pytest.mark.parametrize("planned", [False, True], ids=["kill", "planned end"])
async def test_an_answer_whose_server_ends_is_whole_after_its_restart(
    doomed: Scene, planned: bool
) -> None:
    doomed.provider.plan(SLOW, SLOWER)
    page = await doomed.open()
    await page.send("Hello")
    seen = await page.shows(30)
    await (doomed.server.terminate() if planned else doomed.server.kill())
    lost = await page.settled()
    assert lost.ends[-1].get("finishReason") is None, "nothing told the client that this was all"
    assert planned or lost.status == "error"
    await doomed.server.start()
    state = await page.settled(page.resume())
    assert state.status == "ready"
    assert state.text == WHOLE
    assert [message["id"] for message in state.messages] == [m["id"] for m in seen.messages]
    assert state.messages == (await doomed.stored())["messages"]


@pytest.mark.parametrize("way", [Page.send, Page.regenerate], ids=["sent", "regenerated"])
async def test_a_message_that_never_arrived_can_be_tried_again(
    scene: Scene, proxy: TcpProxy, way: Callable[[Page], Awaitable[None]]
) -> None:
    await proxy.set("refuse")
    page = await scene.open(proxy.url)
    assert (await page.settled(page.send("Hello"))).status == "error"
    await proxy.set("pass")
    await way(page)
    state = await page.settled()
    assert state.error is None
    assert texts(state.messages) == ["Hello", answer(20)]
    assert state.messages == (await scene.stored())["messages"]


@pytest.mark.promise("idempotent-send")
async def test_a_message_that_arrived_and_is_sent_again_has_one_answer(
    scene: Scene, proxy: TcpProxy
) -> None:
    scene.provider.plan(SLOW)
    page = await scene.open(proxy.url)
    proxy.cut_after(1)
    assert (await page.settled(page.send("Hello"))).status == "error"
    state = await page.settled(page.send())
    assert state.text == WHOLE
    assert len(scene.provider.requests) == 1
    assert state.messages == (await scene.stored())["messages"]
