"""The routes of an answer: follow it, stop it."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from durable_llm_streams.errors import ChatNotFound, CursorLost, RunNotFound
from durable_llm_streams.log import Reader
from durable_llm_streams.model import Cursor
from durable_llm_streams.store import Page
from durable_llm_streams.wire.aisdk import STREAM_HEADERS

from . import description
from .principal import Principal
from .problems import described
from .requests import chat_id, json_response
from .state import AppState, app_state
from .streams import PAGE_BYTES, RunStream

router = APIRouter(tags=["answers"])


def cursor_of(request: Request, after: str | None) -> Cursor | None:
    """The cursor that a client sends; None for the beginning. Raises InvalidCursor."""
    text = request.headers.get("last-event-id") or after
    return Cursor.parse(text) if text else None


def answer_stream(
    state: AppState,
    principal: Principal,
    reader: Reader,
    page: Page | None = None,
    more: Mapping[str, str] | None = None,
) -> RunStream:
    """The response that follows a run, with more headers. Raises ShuttingDown."""
    state.streams.check_open()  # clients would take an empty stream for an empty answer
    headers = {**STREAM_HEADERS, **principal.headers, "x-run-id": reader.run_id, **(more or {})}
    return RunStream(state.streams, reader, headers, page, principal.owner)


@router.get(
    "/api/chat/{chat_id}/stream",
    operation_id="follow_answer",
    response_class=Response,
    responses=description.FOLLOWED | described(400, 401, 404, 410, 429, 503),
    openapi_extra=description.FROM_A_CURSOR,
)
async def resume(request: Request, after: description.After = None) -> Response:
    """Follow the chat's active run; with a cursor only what comes after it.

    The cursor is the id of the last event received, as `Last-Event-ID` header or as `after`. It
    names its run: the rest of a run that has ended meanwhile is sent too.

    A chat that does not exist, or has another owner, has no active run: a client may ask before
    its first message.
    """
    state = app_state(request)
    principal = await state.principal(request)
    chat = chat_id(request)
    cursor = cursor_of(request, after)
    state.streams.check_room(principal.owner)
    if cursor is None:
        try:
            run = await state.store.runs.find(principal.owner, chat)
        except (ChatNotFound, RunNotFound):
            return Response(status_code=204, headers=dict(principal.headers))
        return answer_stream(state, principal, Reader(state.store.log, Cursor.beginning(run.id)))
    try:
        await state.store.runs.find(principal.owner, chat, cursor.run_id)
    except RunNotFound as error:
        raise CursorLost from error  # the run is past its retention, or the store has lost it
    reader = Reader(state.store.log, cursor)
    page = await reader.read(max_bytes=PAGE_BYTES)
    if reader.ended and not page.records:
        return Response(status_code=204, headers=dict(principal.headers))
    return answer_stream(state, principal, reader, page)


@router.post(
    "/api/chat/{chat_id}/stop",
    operation_id="stop_answer",
    response_class=Response,
    responses=description.STOPPED | described(400, 401, 404, 503),
    openapi_extra=description.IN_A_CHAT,
)
async def stop(request: Request, run: description.RunId = None) -> Response:
    """Stop the active run, or only the one that is named. The text so far is kept.

    When it returns, no chunk can follow. `stopped` is null when there was nothing to stop.
    """
    state = app_state(request)
    principal = await state.principal(request)
    stopped = None
    try:
        found = await state.store.runs.find(principal.owner, chat_id(request), run)
        if not found.status.ended and await state.worker.stop(found):
            stopped = found.id
    except RunNotFound:
        if run is not None:
            raise
    return json_response({"stopped": stopped}, principal)
