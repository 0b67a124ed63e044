"""The outcome of a request: a success, a refusal, or no response at all."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures

_ERROR_BODY = 64 * 1024  # bytes of a failure's body that are read
_ERROR_BODY_WAIT = 5.0  # seconds

# the errors of aiohttp that the peer can cause; aiohttp does not wrap its parser's errors, nor the
# RuntimeError for a closed connection
NETWORK: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)


async def check(response: aiohttp.ClientResponse, *, continuing: bool) -> None:
    """Raise for a response that is not a success.

    The parser judges the body of a success: its content type says little.

    Args:
        response: a response with its head.
        continuing: whether the request was to go on from a partial answer.
    """
    if not is_success(response):
        raise refused_by(response, await beginning(response), continuing=continuing)


async def beginning(response: aiohttp.ClientResponse, *, most: int = _ERROR_BODY) -> str:
    """The beginning of a body, as far as it comes soon.

    Args:
        response: a response with its head.
        most: the most bytes to read.
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
    """Whether the provider accepted the request."""
    return 200 <= response.status < 300


def refused_by(response: aiohttp.ClientResponse, body: str, *, continuing: bool) -> ModelError:
    """The failure that a refusal means.

    Args:
        response: a response with its head.
        body: the beginning of its body.
        continuing: whether the request was to go on from a partial answer.
    """
    return failures.refused(response.status, body, headers=response.headers, continuing=continuing)
