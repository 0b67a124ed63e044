"""Reads a response that is one JSON object."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from durable_llm_streams.providers import failures
from durable_llm_streams.providers.requests.outcome import NETWORK
from durable_llm_streams.providers.streams.characters import cleaned
from durable_llm_streams.providers.streams.chat_chunk import decode_all

_SHOWN = 1000  # bytes
MOST_BYTES: Final = 32 * 1024 * 1024  # it may hold pictures as base64


async def read_response(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read the object.

    Args:
        response: a success.

    Raises:
        ModelError: the connection broke, or the object is an error. With `job_over` if the body
            is something else.
    """
    if response.content_type == "text/event-stream":
        raise failures.job_gone("A stream came, but none was requested.")
    body = bytearray()
    try:
        while data := await response.content.readany():
            body += data
            if len(body) > MOST_BYTES:
                raise failures.too_much()
    except NETWORK as why:
        raise failures.cut(why) from None
    values = decode_all(bytes(body))
    found = cleaned(values[0]) if values else None
    if not isinstance(found, dict) or not {"status", "output", "error"} & found.keys():
        raise failures.job_gone(bytes(body[:_SHOWN]).decode(errors="replace"))
    if found.get("error") is not None and "status" not in found:
        raise failures.reported(found["error"])
    return found
