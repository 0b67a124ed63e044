"""Real servers, killed with SIGKILL at many points of an answer and started again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable_llm_streams.fold import Fold
from durable_llm_streams.wire.sse import DONE_DATA, SSEParser
from tests.fake_provider import FakeProvider, answer
from tests.processes import ServerProcess, serving

pytestmark = [pytest.mark.timeout(300), pytest.mark.promise("takeover")]

WORDS = 150


class Reader:
    """What one client has received of one chat's run, over however many connections."""

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.cursors: list[str] = []
        self.records: list[bytes] = []
        self.done = False

    async def ask(self, question: str) -> None:
        body = {
            "id": "chat",
            "message": {
                "id": "m1",
                "role": "user",
                "parts": [{"type": "text", "text": question}],
            },
        }
        await self._read(self.session.post(f"{self.server.url}/api/chat", json=body))

    async def resume(self) -> None:
        headers = {"Last-Event-ID": self.cursors[-1]} if self.cursors else {}
        url = f"{self.server.url}/api/chat/chat/stream"
        await self._read(self.session.get(url, headers=headers))

    async def _read(self, request: Any) -> None:
        parser = SSEParser()
        try:
            async with request as response:
                if response.status == 204:
                    self.done = True
                assert response.status in (200, 204), await response.text()
                async for data in response.content.iter_any():
                    for event in parser.feed(data):
                        if event.data == DONE_DATA:
                            self.done = True
                        else:
                            self.cursors.append(event.id)
                            self.records.append(event.data.encode())
        except aiohttp.ClientError:
            pass  # killed

    async def received(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.records) < count and not self.done:
                await asyncio.sleep(0.01)

    @property
    def message(self) -> dict[str, Any]:
        return Fold.of(self.records).message()

    @property
    def text(self) -> str:
        return "".join(part.get("text", "") for part in self.message["parts"])


async def killed_until_done(reader: Reader, question: str, rng: random.Random, kills: int) -> None:
    """Ask, and kill the server again and again in the midst of its answer."""
    reading = asyncio.create_task(reader.ask(question))
    for _ in range(kills):
        await reader.received(len(reader.records) + rng.randint(1, 40))
        if reader.done:
            break
        await reader.server.kill()
        await reading
        await reader.server.start()
        reading = asyncio.create_task(reader.resume())
    async with asyncio.timeout(60):
        await reading
        while not reader.done:
            await reader.resume()


async def stored_message(reader: Reader) -> dict[str, Any]:
    async with reader.session.get(f"{reader.server.url}/api/chats/chat") as response:
        chat = await response.json()
    assert chat["active_run"] is None
    assert [message["role"] for message in chat["messages"]] == ["user", "assistant"]
    message: dict[str, Any] = chat["messages"][1]
    return message


def check(reader: Reader, message: dict[str, Any]) -> None:
    """What must be true of every reader's records, whatever was killed when."""
    assert reader.cursors == sorted(set(reader.cursors))
    kinds = [json.loads(record)["type"] for record in reader.records]
    assert [kind for kind in kinds if kind in ("finish", "error", "abort")] == ["finish"]
    assert kinds[-1] == "finish"
    assert kinds.count("start") == 1
    assert reader.message == message


@asynccontextmanager
async def asking(folder: Path, settings: dict[str, str]) -> AsyncGenerator[Reader, None]:
    settings = {"DLS_ATTEMPTS": "100", **settings}
    jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of an address without a name
    async with (
        serving(folder, settings) as server,
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        # the visitor's cookie first: a killed server may take the answer that brings it along
        async with session.get(f"{server.url}/api/chats") as response:
            assert response.status == 200
        yield Reader(server, session)


@pytest.mark.promise("prefix", "one-clean-answer", "history-is-fold")
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_demo_continues_to_the_letter_after_every_kill(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with asking(tmp_path, {}) as reader:
        await killed_until_done(reader, "Tell me of logs", rng, kills=5)
        check(reader, await stored_message(reader))
        assert reader.message["metadata"]["attempts"] > 1
        assert reader.text.count("This is the built-in demo") == 1
        assert reader.text.count("There is no second source of truth") <= 1


@pytest.mark.promise("prefix", "one-clean-answer", "history-is-fold")
async def test_a_model_that_can_prefill_goes_on_after_every_kill(tmp_path: Path) -> None:
    async with FakeProvider() as provider:
        settings = {
            "OPENAI_BASE_URL": provider.base_url,
            "DLS_MODEL": f"fake:tokens={WORDS},rate=150",
            "DLS_PREFILL": "fake*",
        }
        async with asking(tmp_path, settings) as reader:
            await killed_until_done(reader, "Count", random.Random(3), kills=5)
            check(reader, await stored_message(reader))
            assert reader.text == answer(WORDS)
            assert not any(b"reset-step" in record for record in reader.records)
            assert any(
                request.body["messages"][-1]["role"] == "assistant" for request in provider.requests
            )


@pytest.mark.promise("prefix", "one-clean-answer", "history-is-fold")
async def test_a_model_that_cannot_is_restarted_and_shown_once(tmp_path: Path) -> None:
    async with FakeProvider() as provider:
        settings = {
            "OPENAI_BASE_URL": provider.base_url,
            "DLS_MODEL": f"fake:tokens={WORDS},rate=150",
            "DLS_PREFILL": "none",
        }
        async with asking(tmp_path, settings) as reader:
            await killed_until_done(reader, "Count", random.Random(4), kills=5)
            check(reader, await stored_message(reader))
            assert reader.text == answer(WORDS)
            assert any(b"reset-step" in record for record in reader.records)
            assert all(
                request.body["messages"][-1]["role"] == "user" for request in provider.requests
            )


@pytest.mark.promise("prefix", "one-clean-answer", "history-is-fold")
@pytest.mark.parametrize("way", ["exact", "overlap", "preamble"])
async def test_a_model_that_refuses_prefill_goes_on_when_it_is_asked(
    tmp_path: Path, way: str
) -> None:
    async with FakeProvider() as provider:
        settings = {
            "OPENAI_BASE_URL": provider.base_url,
            "DLS_MODEL": f"fake:tokens={WORDS},rate=150,prefill=refuse,continues={way}",
            "DLS_PREFILL": "fake*",
        }
        async with asking(tmp_path, settings) as reader:
            reading = asyncio.create_task(reader.ask("Count"))
            await reader.received(40)
            await reader.server.kill()
            await reading
            seen = reader.text
            await reader.server.start()
            async with asyncio.timeout(60):
                while not reader.done:
                    await reader.resume()
                    assert reader.text.startswith(seen)
            check(reader, await stored_message(reader))
            assert reader.text == answer(WORDS)
            assert not any(b"reset-step" in record for record in reader.records)
            rungs = [asked["rung"] for asked in reader.message["metadata"]["ladder"]]
            assert rungs == ["first", "prefill", "continue"]


async def test_an_answer_whose_reader_never_comes_back_completes_by_itself(
    tmp_path: Path,
) -> None:
    async with asking(tmp_path, {}) as reader:
        reading = asyncio.create_task(reader.ask("short"))
        await reader.received(10)
        await reader.server.kill()
        await reading
        await reader.server.start()
        async with asyncio.timeout(60):
            while True:
                async with reader.session.get(f"{reader.server.url}/api/chats/chat") as response:
                    chat = await response.json()
                if chat["active_run"] is None:
                    break
                await asyncio.sleep(0.05)
        assert chat["messages"][1]["metadata"]["status"] == "finished"
        parts = chat["messages"][1]["parts"]
        assert [part["type"] for part in parts] == ["step-start", "text"]
