"""Reading requests, and JSON responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from durable_llm_streams.chunks import encode
from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import valid_id

from .principal import Principal
from .problems import TooLarge, UnsupportedMediaType

#: A longer body is parsed in a thread: it takes longer than the time between two tokens.
_PARSED_HERE_BYTES: Final = 256 * 1024

T = TypeVar("T")


async def read_json(request: Request, max_bytes: int) -> bytes:
    """A JSON body.

    A page of another site cannot send this content type without a preflight, which is refused
    unless its origin is named. Together with the cookie's SameSite this prevents forged requests.

    Raises:
        UnsupportedMediaType: the content type is not JSON.
        TooLarge: the body is longer than `max_bytes`, or says that it will be.
        InvalidRequest: the client disconnected before its end.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedMediaType("Send the body as JSON, with `Content-Type: application/json`.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
    except ClientDisconnect as error:
        raise InvalidRequest("The body ended too early. Send it again.") from error
    return bytes(body)


async def parsed(parse: Callable[[bytes], T], body: bytes) -> T:
    """What a parser makes of a body; of a large one in a thread. Raises what the parser raises."""
    if len(body) <= _PARSED_HERE_BYTES:
        return parse(body)
    return await asyncio.to_thread(parse, body)


def decoded(body: bytes, kind: type[T], form: str) -> T:
    """The value of a JSON body.

    Args:
        body: it.
        kind: its type.
        form: how it is written, for the error.

    Raises:
        InvalidRequest: it is not of this form.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not `{form}`: {error}.") from error


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body has more than {max_bytes} bytes. Send only the new message.")


def chat_id(request: Request) -> str:
    """The chat id in the path. Raises InvalidRequest."""
    found = str(request.path_params["chat_id"])
    if not valid_id(found):
        raise InvalidRequest("Invalid chat id.")
    return found


def json_response(content: Any, principal: Principal, status: int = 200) -> Response:
    """A JSON response for one principal. `Safeguards` adds that it is not cached."""
    headers = dict(principal.headers)
    return Response(encode(content), status, headers, "application/json")
