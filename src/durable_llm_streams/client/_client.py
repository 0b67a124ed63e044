"""The client: calls and streams that survive what happens to the connection.

    async with DurableClient("http://localhost:8000") as client:
        async for cursor, chunk in client.ask("my-chat", "Why is the sky blue?"):
            ...

Theory of operation
===================
1. The cursor of the last event that was handed out is all the state that there is. With it, any
   connection to any server process continues the answer; without one, the question is sent again.
2. A question is sent with an id that the client makes, and with the same id on every try, so it is
   answered once.
3. A stream that ends without a terminal chunk was cut, however politely it ended. So was one that
   is silent: servers send a comment every 15 seconds.
4. What arrives at or before the cursor is dropped.
5. Only an answer of the server itself ends the attempts, and time without any progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import msgspec

from durable_llm_streams.chunks import decode
from durable_llm_streams.fold import Fold
from durable_llm_streams.wire.sse import CONTENT_TYPE

from ._answers import Event, Reading, check, check_stream, failures_as_cuts
from ._retry import Cut, Retry, RetryBudget, State


class DurableClient:
    """A connection to one server, as one owner.

    Args:
        base_url: where the server is, without `/api`.
        session: a session to use, with its cookies; it is left open. None makes one.
        headers: sent with every request, for example `Authorization`.
        retry: how patient to be.
        on_state: told what streams are doing.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None = None,
        headers: Mapping[str, str] | None = None,
        retry: Retry | None = None,
        on_state: Callable[[State], None] | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._session = session
        self._owns_session = session is None
        self._headers = dict(headers or {})
        self._retry = retry or Retry()
        self._report = on_state or (lambda _: None)
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._retry.connect, sock_read=self._retry.silence
        )
        self._introduced = any(name.lower() == "authorization" for name in self._headers)
        self._introducing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session, unless it was given."""
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session in use; its jar holds the visitor's cookie."""
        if self._session is None:
            # Cookies also from hosts that are IP addresses: a server on one's own machine.
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return self._session

    def ask(
        self,
        chat_id: str,
        text: str,
        *,
        message_id: str | None = None,
        model: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Send a message and follow its answer to the end.

        Args:
            chat_id: the chat; a new id makes a new chat.
            text: what to say.
            message_id: the message's id. Asking again with the same one makes no second answer.
            model: one of `models()`, or None for the server's choice.

        Yields:
            Every chunk once. The last one is `finish`, `error` or `abort`. Whoever leaves early
            should use `contextlib.aclosing`; the answer is written on all the same.

        Raises:
            ServerRefused: the server said no.
            ServerUnreachable: nothing was heard from it for `retry.patience` seconds.
            CursorLost: the log is gone or was lost; `snapshot` has what remains.
        """
        body: dict[str, Any] = {
            "id": chat_id,
            "message": {
                "id": message_id or new_id(),
                "role": "user",
                "parts": [{"type": "text", "text": text}],
            },
            "trigger": "submit-message",
        }
        if model is not None:
            body["model"] = model
        return self._stream(chat_id, body, None)

    def follow(self, chat_id: str, after: str | None = None) -> AsyncGenerator[Event, None]:
        """Follow the answer that is being written in a chat; nothing if there is none.

        Args:
            chat_id: the chat.
            after: a cursor: yield only what comes later, also of an answer that has ended.

        Yields:
            As `ask` does, and raises the same.
        """
        return self._stream(chat_id, None, after)

    async def answer(self, chat_id: str, text: str, *, model: str | None = None) -> dict[str, Any]:
        """Send a message and return the whole answer, a `UIMessage`. Raises what `ask` raises."""
        fold = Fold()
        async with aclosing(self.ask(chat_id, text, model=model)) as events:
            async for event in events:
                fold.apply(event.chunk)
        return fold.message()

    async def snapshot(self, chat_id: str) -> Any:
        """A chat with its messages and its active run's cursor, as of one moment."""
        return await self._call("GET", f"/api/chats/{_segment(chat_id)}")

    async def chats(self, **params: str) -> Any:
        """The owner's chats, newest first. Parameters as the server takes them, such as `q`."""
        return await self._call("GET", "/api/chats", params)

    async def models(self) -> Any:
        """The models that the server offers."""
        return await self._call("GET", "/api/models")

    async def stop(self, chat_id: str, run_id: str | None = None) -> Any:
        """End the answer that is being written, or only that of the named run. What was said stays.

        A cursor begins with its run's id and a dot.
        """
        params = {"run": run_id} if run_id is not None else None
        return await self._call("POST", f"/api/chat/{_segment(chat_id)}/stop", params)

    async def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        report: Callable[[State], None] = lambda _: None,
    ) -> Any:
        budget = RetryBudget(self._retry, report)
        while True:
            try:
                with failures_as_cuts():
                    async with self._request(method, path, params=params) as response:
                        await check(response)
                        body = await response.read()
                        self._introduced = True
                        return decode(body) if body else None
            except msgspec.DecodeError:
                await budget.pause(Cut("something else than the server answered"))
            except Cut as cut:
                await budget.pause(cut)

    async def _stream(
        self, chat_id: str, body: Mapping[str, Any] | None, cursor: str | None
    ) -> AsyncGenerator[Event, None]:
        budget = RetryBudget(self._retry, self._report)
        reading = Reading(cursor)
        self._report(State("connecting"))
        if body is not None:
            await self._introduce()
        while not reading.ended:
            try:
                with failures_as_cuts():
                    async with self._open(chat_id, body, reading.cursor) as response:
                        if not await check_stream(response, joined=reading.joined):
                            break
                        reading.connect()
                        self._report(State("live"))
                        async for data in response.content.iter_any():
                            if reading.is_alive(data):
                                budget.heard()
                            for event in reading.feed(data):
                                budget.progress()
                                yield event
                            if reading.ended:
                                break
                cut = Cut()
            except Cut as caught:
                cut = caught
            if not reading.ended:
                await budget.pause(cut)
        self._report(State("ended"))

    def _open(
        self, chat_id: str, body: Mapping[str, Any] | None, cursor: str | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # Compression would let a proxy hold events back.
        headers = {"Accept": CONTENT_TYPE, "Accept-Encoding": "identity"}
        if body is not None and cursor is None:
            return self._request("POST", "/api/chat", json=body, headers=headers)
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        return self._request("GET", f"/api/chat/{_segment(chat_id)}/stream", headers=headers)

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.session.request(
            method,
            self._base + path,
            params=params,
            json=json,
            headers={**self._headers, **(headers or {})},
            timeout=self._timeout,
        )

    async def _introduce(self) -> None:
        """Get the visitor's cookie before the first question.

        If the first question were also what gets the cookie, and its answer were lost, repeating it
        would come from another visitor, to whom the chat does not belong.
        """
        async with self._introducing:
            if not self._introduced:
                await self._call("GET", "/api/chats", report=self._report)


def new_id() -> str:
    """An id for a chat or a message."""
    return uuid4().hex


def _segment(name: str) -> str:
    return quote(name, safe="")
