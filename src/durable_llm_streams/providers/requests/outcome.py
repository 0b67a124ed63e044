"""What became of a request: a success, a refusal, or no answer at all."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures

_ERROR_BODY = 64 * 1024  # bytes of a failure's body that are read
_ERROR_BODY_WAIT = 5.0  # seconds

# what aiohttp raises for a peer's doing; it lets its parser's own errors and a RuntimeError for a
# connection that is gone through as they are
NETWORK: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)


async def check(response: aiohttp.ClientResponse, *, continuing: bool) -> None:
    """Raise for a response that is no success.

    What a success holds is for the parser to judge: its content type says little.

    Args:
        response: whose head has come.
        continuing: whether the request was to go on from a partial answer.
    """
    if not is_success(response):
        raise refused_by(response, await beginning(response), continuing=continuing)


async def beginning(response: aiohttp.ClientResponse, *, most: int = _ERROR_BODY) -> str:
    """What a body says, as far as it comes soon.

    Args:
        response: whose head has come.
        most: bytes that are read.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_WAIT):
            while len(body) < most and (data := await response.content.readany()):
                body += data
    except NETWORK:
        pass
    return body[:most].decode(errors="replace")


def is_success(response: aiohttp.ClientResponse) -> bool:
    """Whether the provider took the request."""
    return 200 <= response.status < 300


def refused_by(response: aiohttp.ClientResponse, said: str, *, continuing: bool) -> ModelError:
    """The failure that a refusal means.

    Args:
        response: whose head has come.
        said: the beginning of its body.
        continuing: whether the request was to go on from a partial answer.
    """
    return failures.refused(response.status, said, headers=response.headers, continuing=continuing)
