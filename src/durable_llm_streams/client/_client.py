"""The client: calls and streams that survive lost connections and servers.

    async with DurableClient("http://localhost:8000") as client:
        async for cursor, chunk in client.ask("my-chat", "Why is the sky blue?"):
            ...

Theory of operation
===================
1. The only state is the cursor of the last event that was yielded. With it, a connection to any
   server process continues the answer; without one, the question is sent again.
2. The client makes the question's id and uses the same id for every retry, so the question is
   answered once.
3. A stream that ends without a terminal chunk was cut. So was a silent stream: servers send a
   comment every 15 seconds.
4. Events at or before the cursor are dropped.
5. The retries end only with a response of the server itself, or after too long without progress.
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
        base_url: the server's address, without `/api`.
        session: a session to use, with its cookies; it is not closed. None creates one.
        headers: sent with every request, for example `Authorization`.
        retry: the timeouts and the backoff.
        on_state: called with the state of streams.
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
        self._has_identity = any(name.lower() == "authorization" for name in self._headers)
        self._identity_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session, unless it was passed in."""
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session in use; its jar holds the visitor's cookie."""
        if self._session is None:
            # Accept cookies from IP addresses, too: the server may be on this machine.
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
            chat_id: the chat; a new id creates a chat.
            text: the message.
            message_id: the message's id. A duplicate with the same id gets no second answer.
            model: one of `models()`, or None for the server's choice.

        Yields:
            Every chunk once. The last one is `finish`, `error` or `abort`. To leave early, use
            `contextlib.aclosing`; the server finishes the answer nevertheless.

        Raises:
            ServerRefused: the server refused the message.
            ServerUnreachable: there was no progress for `retry.patience` seconds.
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
            after: a cursor: yield only later events, also of an answer that has ended.

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
        """A chat with its messages and its active run's cursor, at one moment."""
        return await self._call("GET", f"/api/chats/{_segment(chat_id)}")

    async def chats(self, **params: str) -> Any:
        """The owner's chats, newest first. The parameters are the server's, such as `q`."""
        return await self._call("GET", "/api/chats", params)

    async def models(self) -> Any:
        """The models that the server offers."""
        return await self._call("GET", "/api/models")

    async def stop(self, chat_id: str, run_id: str | None = None) -> Any:
        """Stop the answer that is being written, or only that of the named run. Its text stays.

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
                        self._has_identity = True
                        return decode(body) if body else None
            except msgspec.DecodeError:
                await budget.pause(Cut("something other than the server answered"))
            except Cut as cut:
                await budget.pause(cut)

    async def _stream(
        self, chat_id: str, body: Mapping[str, Any] | None, cursor: str | None
    ) -> AsyncGenerator[Event, None]:
        budget = RetryBudget(self._retry, self._report)
        reading = Reading(cursor)
        self._report(State("connecting"))
        if body is not None:
            await self._get_identity()
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
                                budget.alive()
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

    async def _get_identity(self) -> None:
        """Get the visitor's cookie before the first question.

        If the first question fetched the cookie, and the response were lost, the retry would come
        from another visitor, who does not own the chat.
        """
        async with self._identity_lock:
            if not self._has_identity:
                await self._call("GET", "/api/chats", report=self._report)


def new_id() -> str:
    """An id for a chat or a message."""
    return uuid4().hex


def _segment(name: str) -> str:
    return quote(name, safe="")
