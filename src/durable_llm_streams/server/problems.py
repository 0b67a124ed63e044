"""Errors as problem details (RFC 9457): one table from the exception tree to HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from durable_llm_streams import errors
from durable_llm_streams.chunks import encode

logger = logging.getLogger(__name__)

#: What comes before a problem's name in its `type`.
TYPE_PREFIX = "urn:durable-llm-streams:"

#: Exception -> (HTTP status, name, title). The first match along the exception's bases counts.
PROBLEMS: Mapping[type[errors.DurableError], tuple[int, str, str]] = {
    errors.InvalidCursor: (400, "invalid-cursor", "Not a cursor"),
    errors.InvalidRequest: (400, "invalid-request", "The request cannot work"),
    errors.ChatNotFound: (404, "chat-not-found", "No such chat"),
    errors.MessageNotFound: (404, "message-not-found", "No such message"),
    errors.RunNotFound: (404, "run-not-found", "No such answer"),
    errors.ChatBusy: (409, "chat-busy", "An answer is being written"),
    errors.MessageConflict: (409, "message-conflict", "The id is taken"),
    errors.CursorLost: (410, "cursor-lost", "Start over from the chat"),
    errors.Conflict: (409, "conflict", "Not possible now"),
    errors.NotFound: (404, "not-found", "Not found"),
    errors.ShuttingDown: (503, "shutting-down", "The server is ending"),
    errors.StoreError: (503, "store-unavailable", "The store is not available"),
    errors.DurableError: (500, "internal", "Something went wrong"),
}

_RETRY_AFTER_SECONDS = 2


class TooLarge(errors.InvalidRequest):
    """The body is larger than the server takes."""


class UnsupportedMediaType(errors.InvalidRequest):
    """The body is not JSON by its content type."""


class Unauthenticated(errors.DurableError):
    """Nobody knows who asks. For `authenticate` hooks."""


_SERVER_PROBLEMS: Mapping[type[errors.DurableError], tuple[int, str, str]] = {
    TooLarge: (413, "too-large", "Too large"),
    UnsupportedMediaType: (415, "unsupported-media-type", "Not JSON"),
    Unauthenticated: (401, "unauthenticated", "Sign in"),
}


def problem(
    status: int, name: str, title: str, detail: str, extra: Mapping[str, Any] | None = None
) -> Response:
    """A problem document."""
    document = {"type": TYPE_PREFIX + name, "title": title, "status": status, "detail": detail}
    headers = {"retry-after": str(_RETRY_AFTER_SECONDS)} if status == 503 else None
    return Response(
        encode({**document, **(extra or {})}), status, headers, "application/problem+json"
    )


def from_error(error: errors.DurableError) -> Response:
    """The problem document of one of this package's errors."""
    table = {**PROBLEMS, **_SERVER_PROBLEMS}
    kind = next(kind for kind in type(error).__mro__ if kind in table)
    status, name, title = table[kind]
    if status >= 500:
        logger.error("%s", error)
    detail = str(error)
    if isinstance(error, errors.StoreError):
        detail = "The store cannot be used at this moment. Nothing was lost; try again."
    extra = {"run": error.run_id} if isinstance(error, errors.ChatBusy) else None
    return problem(status, name, title, detail, extra)


async def handle_durable_error(_: Request, error: Exception) -> Response:
    """For `add_exception_handler`."""
    assert isinstance(error, errors.DurableError)
    return from_error(error)


async def handle_http_exception(_: Request, error: Exception) -> Response:
    """404 of the router, 405, and the like."""
    assert isinstance(error, HTTPException)
    response = problem(
        error.status_code, "http", error.detail, _HTTP_DETAILS.get(error.status_code, error.detail)
    )
    response.headers.update(error.headers or {})
    return response


async def handle_unexpected(_: Request, error: Exception) -> Response:
    """Anything else: the log gets the trace, the client a sentence."""
    logger.error("Unexpected error", exc_info=error)
    return problem(500, "internal", "Something went wrong", "The server failed. Try again.")


_HTTP_DETAILS = {
    404: "There is nothing at this address. See /docs for what there is.",
    405: "This address does not take this method. See /docs for what it takes.",
}
