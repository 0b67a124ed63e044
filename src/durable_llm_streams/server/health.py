"""Whether the process lives, and whether it can work."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from durable_llm_streams.errors import StoreError

from .context import context

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def live() -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def ready(request: Request) -> Response:
    """The store can be written and the worker takes work."""
    shared = context(request)
    try:
        await shared.store.check()
    except StoreError:
        return PlainTextResponse("the store is not available\n", 503)
    if not shared.worker.ready or shared.streams.closing:
        return PlainTextResponse("the worker takes no work\n", 503)
    return PlainTextResponse("ok\n")
