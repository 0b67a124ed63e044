"""A browser with the unmodified AI SDK chat client, for tests to steer: `aisdk/chat_client.mjs`."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable
from typing import Any, NamedTuple, Self

from tests.children import tied
from tests.node import PROJECT
from tests.waiting import within

_LONGEST_LINE = 64 * 1024 * 1024


class State(NamedTuple):
    """The state of a page: `status`, `error` and `messages` as `useChat` gives them.

    Attributes:
        statuses: all that `status` has been.
        ends: the argument of each call of `onFinish`.
        requests: method, path and status (None: no answer) of every request for a stream.
        failures: what the chat's methods threw.
    """

    status: str
    error: str | None
    messages: list[dict[str, Any]]
    statuses: list[str]
    ends: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    failures: list[str]

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["role"] == "assistant"]

    @property
    def text(self) -> str:
        """The text of the last message."""
        return text_of(self.messages[-1])


def text_of(message: dict[str, Any]) -> str:
    """The text of a message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


class Browser:
    """The process. Use it as an async context manager.

    Args:
        node: the command that runs a script (the fixture `node_program`).
    """

    def __init__(self, node: list[str]) -> None:
        self._command = [*node, str(PROJECT / "chat_client.mjs")]
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def ask(self, do: str, **options: Any) -> Any:
        """Send one command and wait for its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        given = {name: value for name, value in options.items() if value is not None}
        line = json.dumps({"n": number, "do": do, **given}) + "\n"
        self._process.stdin.write(line.encode())
        try:
            async with within(f"the answer to {do} {given}"):
                return await answer
        finally:
            del self._waiting[number]

    async def open(
        self, base: str, chat: str, messages: list[dict[str, Any]] | None = None
    ) -> Page:
        """Open a page on a chat, with the messages that it begins with."""
        page = Page(self, f"page-{next(self._numbers)}")
        await self.ask("open", page=page.name, api=f"{base}/api/chat", chat=chat, messages=messages)
        return page

    async def fetch(self, url: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """Any request with the browser's cookies: status and body."""
        answer = await self.ask("fetch", url=url, method=method, body=body)
        return answer["status"], answer["body"]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *tied(self._command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._reader is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._waiting.get(answer["n"])
            if waiting is None or waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(RuntimeError(answer["error"]))
            else:
                waiting.set_result(answer["value"])
        for waiting in self._waiting.values():
            waiting.set_exception(RuntimeError("The browser has ended; see the captured stderr."))


class Page:
    """One `Chat` of the browser. What begins a request does not wait for its end."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self.name = name

    async def send(self, text: str | None = None, edited: str | None = None) -> None:
        """`sendMessage()`: a new message, or an edit; without a text the last message again."""
        await self._browser.ask("send", page=self.name, text=text, messageId=edited)

    async def regenerate(self, message_id: str | None = None) -> None:
        await self._browser.ask("regenerate", page=self.name, messageId=message_id)

    async def resume(self) -> None:
        await self._browser.ask("resume", page=self.name)

    async def stop(self) -> None:
        """The client's own stop: it only ends its request."""
        await self._browser.ask("stop", page=self.name)

    async def state(self) -> State:
        return State(**await self._browser.ask("state", page=self.name))

    async def settled(self, *actions: Awaitable[None]) -> State:
        """Do these, and wait until everything that was started has ended."""
        for action in actions:
            await action
        return State(**await self._browser.ask("settled", page=self.name))

    async def shows(self, length: int) -> State:
        """Wait until the answer's text is so long."""
        return State(**await self._browser.ask("shows", page=self.name, length=length))
