"""The liveness and readiness checks."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from durable_llm_streams.errors import StoreError

from .state import app_state

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])

_LIVE: dict[int | str, dict[str, Any]] = {200: {"description": "The process answers."}}
_READY: dict[int | str, dict[str, Any]] = {
    200: {"description": "The store can be written and the worker accepts runs."},
    503: {
        "description": "A line that says what is missing.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
}


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_class=PlainTextResponse, responses=_LIVE)
async def live() -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_class=PlainTextResponse, responses=_READY)
async def ready(request: Request) -> Response:
    """The store can be written and the worker accepts runs."""
    state = app_state(request)
    try:
        await state.store.check()
    except StoreError as error:
        if not state.is_unready:  # load balancers check every second
            logger.warning("Not ready: %s", error)
        state.is_unready = True
        return PlainTextResponse("the store is not available\n", 503)
    state.is_unready = False
    if not state.worker.ready or state.streams.closing:
        return PlainTextResponse("the worker accepts no runs\n", 503)
    return PlainTextResponse("ok\n")
