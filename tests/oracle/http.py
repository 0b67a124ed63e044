"""The transport to real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from .reader import TIMEOUT_SECONDS, Interrupted, Request

#: What a connection that breaks raises.
BREAKS = (aiohttp.ClientError, ConnectionError, TimeoutError)


class HttpResponse:
    """A response over a real connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
        self._content = response.content

    async def piece(self) -> bytes:
        """Some more of the body; b"" at its end. Raises Interrupted."""
        try:
            return await self._content.readany()
        except BREAKS as error:
            raise Interrupted(repr(error)) from error


class HttpTransport:
    """Requests to servers by their addresses."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str]) -> None:
        self._http = http
        self._urls = urls

    @asynccontextmanager
    async def open(self, server: int, request: Request) -> AsyncGenerator[HttpResponse, None]:
        headers = dict(request.headers)
        if request.body:
            headers["content-type"] = "application/json"
        url = self._urls[server] + request.path
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await self._http.request(
                    request.method, url, data=request.body or None, headers=headers
                )
        except BREAKS as error:
            raise Interrupted(repr(error)) from error
        try:
            yield HttpResponse(response)
        finally:
            response.close()
