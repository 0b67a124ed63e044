"""Records a provider's answers, byte by byte, while the product's own code asks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple, cast

import aiohttp
from yarl import URL

from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.outcome import NETWORK

End = Literal["", "eof", "broken", "silent"]


class Read(NamedTuple):
    """Bytes of one read, and the seconds since the previous read."""

    pause: float
    data: bytes


class Exchange:
    """One request and its response.

    Attributes:
        method, path: of the request.
        status, media_type: of the head; status 0 for none.
        headers: of the head.
        wait: seconds until the head came.
        reads: the body, as far as it was read.
        end: how the body ended: `eof`, `broken`, `silent` (nothing came within the limit), or ""
            where it was not read to its end.
    """

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.path = path
        self.status = 0
        self.media_type = ""
        self.headers: dict[str, str] = {}
        self.wait = 0.0
        self.reads: list[Read] = []
        self.end: End = ""


class Recorder:
    """A proxy between a source and its HTTP session.

    Args:
        silence: the timeout for the next bytes, in seconds.

    Attributes:
        exchanges: in the order of the requests.
    """

    def __init__(self, silence: float) -> None:
        self.exchanges: list[Exchange] = []
        self._silence = silence

    def listen_to(self, source: OpenAICompatible) -> None:
        """Record everything that the source asks from now on."""
        opened = source._opened
        source._opened = lambda: cast(  # type: ignore[method-assign]
            "aiohttp.ClientSession", _Session(opened(), self._exchange)
        )

    async def _exchange(
        self, method: str, url: URL, asked: Coroutine[Any, Any, aiohttp.ClientResponse]
    ) -> aiohttp.ClientResponse:
        exchange = Exchange(method, url.path)
        self.exchanges.append(exchange)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._silence):
                response = await asked
        except TimeoutError:
            exchange.end = "silent"
            raise
        except aiohttp.ClientConnectorError:
            raise  # nothing was sent
        except NETWORK:
            exchange.end = "broken"
            raise
        exchange.wait = time.monotonic() - begun
        exchange.status = response.status
        exchange.media_type = response.headers.get("Content-Type", "")
        exchange.headers = dict(response.headers)
        body = _Body(response.content, exchange, self._silence)
        response.content = cast("aiohttp.StreamReader", body)
        return response


class _Session:
    """The part of a session that sources use."""

    def __init__(self, session: aiohttp.ClientSession, exchange: Callable[..., Any]) -> None:
        self._session = session
        self._exchange = exchange

    async def post(self, url: URL, **options: Any) -> aiohttp.ClientResponse:
        return await self.request("POST", url, **options)

    async def get(self, url: URL, **options: Any) -> aiohttp.ClientResponse:
        return await self.request("GET", url, **options)

    async def request(self, method: str, url: URL, **options: Any) -> aiohttp.ClientResponse:
        asked = self._session.request(method, url, **options)
        response: aiohttp.ClientResponse = await self._exchange(method, url, asked)
        return response


class _Body:
    """A response's body; every read is recorded."""

    def __init__(self, body: aiohttp.StreamReader, exchange: Exchange, silence: float) -> None:
        self._body = body
        self._exchange = exchange
        self._silence = silence
        self._last = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def readany(self) -> bytes:
        """The next bytes; b"" at the end."""
        try:
            async with asyncio.timeout(self._silence):
                data = await self._body.readany()
        except TimeoutError:
            self._exchange.end = "silent"
            raise
        except NETWORK:
            self._exchange.end = "broken"
            raise
        if data:
            now = time.monotonic()
            self._exchange.reads.append(Read(now - self._last, data))
            self._last = now
        else:
            self._exchange.end = "eof"
        return data
