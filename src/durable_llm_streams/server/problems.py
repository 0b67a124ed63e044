"""Errors as problem documents (RFC 9457): one table from the exception tree to HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from durable_llm_streams import errors
from durable_llm_streams.chunks import encode

from . import rate_limit

logger = logging.getLogger(__name__)

#: The prefix of a problem's name in its `type`.
TYPE_PREFIX = "urn:durable-llm-streams:"

#: Exception -> (HTTP status, name, title). The first match along the exception's bases is used.
PROBLEMS: Mapping[type[errors.DurableError], tuple[int, str, str]] = {
    errors.InvalidCursor: (400, "invalid-cursor", "Invalid cursor"),
    errors.MessageTooLong: (413, "message-too-long", "The message is too long"),
    errors.InvalidRequest: (400, "invalid-request", "Invalid request"),
    errors.ChatNotFound: (404, "chat-not-found", "No such chat"),
    errors.MessageNotFound: (404, "message-not-found", "No such message"),
    errors.RunNotFound: (404, "run-not-found", "No such answer"),
    errors.ChatBusy: (409, "chat-busy", "An answer is being written"),
    errors.MessageConflict: (409, "message-conflict", "The id is taken"),
    errors.CursorLost: (410, "cursor-lost", "Start over from the chat"),
    errors.BudgetSpent: (429, "budget-spent", "The budget is spent"),
    errors.TooManyStreams: (429, "too-many-streams", "Too many open streams"),
    errors.LimitReached: (429, "rate-limited", "Too many requests"),
    errors.Conflict: (409, "conflict", "Not possible now"),
    errors.NotFound: (404, "not-found", "Not found"),
    errors.ShuttingDown: (503, "shutting-down", "The server is shutting down"),
    errors.TooManyRuns: (429, "too-many-runs", "Too many answers at once"),
    errors.TooManyVisitors: (429, "too-many-visitors", "Too many new visitors"),
    errors.Overload: (503, "overload", "Too much at once"),
    errors.QueueFull: (503, "queue-full", "Too many messages wait"),
    errors.StoreError: (503, "store-unavailable", "The store is not available"),
    errors.DurableError: (500, "internal", "Something went wrong"),
}

_MEDIA_TYPE = "application/problem+json"
_WITHOUT_COOKIE = (
    "This request has no cookie of this server, so its visitor is new. "
    "Allow cookies for this site, or keep the cookie of the first answer and send it each time."
)
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_RETRY_AFTER_SECONDS = 2


class TooLarge(errors.InvalidRequest):
    """The body is larger than the server accepts."""


class UnsupportedMediaType(errors.InvalidRequest):
    """The content type of the body is not JSON."""


class Unauthenticated(errors.DurableError):
    """The request has no valid credentials. For `authenticate` hooks."""


_SERVER_PROBLEMS: Mapping[type[errors.DurableError], tuple[int, str, str]] = {
    TooLarge: (413, "too-large", "Too large"),
    UnsupportedMediaType: (415, "unsupported-media-type", "Not JSON"),
    Unauthenticated: (401, "unauthenticated", "Sign in"),
}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI descriptions of problems with these statuses, and of any other problem."""
    found: dict[int | str, dict[str, Any]] = {
        status: _description(
            {"const": status}, {"enum": [TYPE_PREFIX + name for name in _names(status)]}
        )
        for status in statuses
    }
    for status in found.keys() & {429, 503}:
        found[status]["headers"] = {
            "Retry-After": {
                "required": True,
                "description": "Seconds to wait before asking again.",
                "schema": {"type": "integer", "minimum": 0},
            }
        }
    if 429 in found:
        found[429]["headers"] = rate_limit.DESCRIBED
        properties = found[429]["content"][_MEDIA_TYPE]["schema"]["properties"]
        properties["limit"] = {"type": "number", "description": "What is allowed in a period."}
        properties["retry_after"] = {
            "type": ["number", "null"],
            "description": "Seconds until it is allowed; null if it never is, as it is too long.",
        }
    if 409 in found:
        properties = found[409]["content"][_MEDIA_TYPE]["schema"]["properties"]
        properties["run"] = {"type": "string", "description": "The chat's active run."}
    return found | {
        "default": _description(
            {"type": "integer", "minimum": 400, "maximum": 599},
            {"type": "string", "pattern": f"^{TYPE_PREFIX}"},
        )
    }


def _names(status: int) -> list[str]:
    table = {**PROBLEMS, **_SERVER_PROBLEMS}
    return sorted({name for code, name, _ in table.values() if code == status})


def _description(status: dict[str, Any], kind: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": kind,
            "title": {"type": "string"},
            "status": status,
            "detail": {"type": "string", "description": "A sentence that says what to do."},
        },
    }
    return {
        "description": "A problem document (RFC 9457).",
        "content": {_MEDIA_TYPE: {"schema": schema}},
    }


def problem(
    status: int,
    name: str,
    title: str,
    detail: str,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document. `retry_after` is in seconds, for the statuses 429 and 503."""
    document = {"type": TYPE_PREFIX + name, "title": title, "status": status, "detail": detail}
    if headers is None and status == 503:
        headers = {"retry-after": str(_RETRY_AFTER_SECONDS)}
    return Response(encode({**document, **(extra or {})}), status, headers, _MEDIA_TYPE)


def from_error(error: errors.DurableError) -> Response:
    """The problem document of an error of this package."""
    table = {**PROBLEMS, **_SERVER_PROBLEMS}
    kind = next(kind for kind in type(error).__mro__ if kind in table)
    status, name, title = table[kind]
    if status >= 500:
        is_planned = isinstance(error, errors.ShuttingDown | errors.Overload)
        logger.log(logging.DEBUG if is_planned else logging.ERROR, "%s", error)
    detail = str(error)
    if isinstance(error, errors.StoreError):
        detail = "The store cannot be used at this moment. Nothing was lost; try again."
    if isinstance(error, errors.LimitReached):
        about = {"limit": error.limit, "retry_after": error.retry_after}
        return problem(status, name, title, detail, about, rate_limit.refused(error))
    if isinstance(error, errors.Overload):
        about = {"limit": error.limit, "retry_after": error.retry_after}
        later = {"retry-after": str(error.retry_after)}
        return problem(status, name, title, detail, about, later)
    extra = {"run": error.run_id} if isinstance(error, errors.ChatBusy) else None
    return problem(status, name, title, detail, extra)


async def handle_durable_error(request: Request, error: Exception) -> Response:
    """For `add_exception_handler`."""
    assert isinstance(error, errors.DurableError)
    principal = getattr(request.state, "principal", None)
    if isinstance(error, errors.ChatNotFound) and principal is not None and principal.is_new:
        # The same for chats of other owners and chats that do not exist: it reveals nothing.
        return from_error(type(error)(f"{error} {_WITHOUT_COOKIE}"))
    return from_error(error)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """404 of the router, 405, and the like."""
    assert isinstance(error, HTTPException)
    detail = _HTTP_DETAILS.get(error.status_code, error.detail)
    if getattr(request.app, "openapi_url", None) is None:
        detail = detail.partition(" See /docs")[0]
    response = problem(error.status_code, "http", error.detail, detail)
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["allow"] = ", ".join(_methods(request))
    return response


def _methods(request: Request) -> list[str]:
    """The methods of all routes of an address; the router gives those of the first one only."""

    def is_taken(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in _METHODS if is_taken(method)]


async def handle_unexpected(_: Request, error: Exception) -> Response:
    """Anything else: the traceback is logged, the client gets a sentence."""
    logger.error("Unexpected error", exc_info=error)
    return problem(500, "internal", "Something went wrong", "The server failed. Try again.")


_HTTP_DETAILS = {
    404: "There is nothing at this address. See /docs for what there is.",
    405: "This address does not accept this method. See /docs for what it accepts.",
}
