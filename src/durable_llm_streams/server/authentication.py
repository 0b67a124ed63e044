"""Asks the `authenticate` hook who sends a request. What is no clear answer identifies nobody."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from durable_llm_streams.errors import DurableError, StoreError

from .principal import Principal
from .problems import Unauthenticated

logger = logging.getLogger(__name__)

#: The hook that identifies the principal of a request. Raises `server.Unauthenticated`.
Authenticate = Callable[[HTTPConnection], Awaitable[Principal]]

#: What a hook may raise: nobody is signed in, a status of its own, or its store does not answer.
_REFUSALS = (Unauthenticated, HTTPException, StoreError)


class HookFailed(DurableError):
    """The `authenticate` hook did not answer as it should. The log says how."""

    sentence = "The server could not find out who sends this request. Its log says why."


async def identify(authenticate: Authenticate, connection: HTTPConnection) -> Principal:
    """The principal of a request.

    Raises:
        HookFailed: the hook returned something else, or raised what is no refusal.
        Unauthenticated, HTTPException, StoreError: as the hook raised them.
    """
    try:
        found: object = await authenticate(connection)
    except _REFUSALS:
        raise
    except Exception as error:
        logger.exception("The `authenticate` hook failed. Nobody was identified.")
        raise HookFailed from error
    if isinstance(found, Principal):
        return found
    logger.error(
        "The `authenticate` hook returned %s instead of a Principal. Nobody was identified.%s",
        type(found).__name__,
        " Await the coroutine." if inspect.iscoroutine(found) else "",
    )
    if inspect.iscoroutine(found):
        found.close()
    raise HookFailed
