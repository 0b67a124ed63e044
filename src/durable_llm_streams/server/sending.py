"""`POST /api/chat`, following, stopping: the routes that have to do with runs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from durable_llm_streams.errors import (
    ChatNotFound,
    CursorLost,
    DurableError,
    InvalidRequest,
    MessageConflict,
    MessageNotFound,
    RunNotFound,
)
from durable_llm_streams.ids import new_id
from durable_llm_streams.log import Reader
from durable_llm_streams.model import Cursor
from durable_llm_streams.store import Order, Page, Sent
from durable_llm_streams.wire.aisdk import STREAM_HEADERS, Reading, Send, parse_send

from . import description, moving_on
from .problems import described
from .requests import chat_id, json_response, read_json
from .state import AppState, app_state
from .streams import PAGE_BYTES, RunStream
from .visitors import Visitor

router = APIRouter(tags=["answers"])

_TITLE_LENGTH = 80


@router.post(
    "/api/chat",
    operation_id="send_message",
    response_class=Response,
    responses=description.SENT | described(400, 401, 404, 409, 410, 413, 415, 503),
    openapi_extra=description.SENDING,
)
async def send(request: Request, after: description.After = None) -> Response:
    """Send a message, edit one, or ask for another answer. Answers with the run's stream.

    Repeating the request (the same message id, or the same `Idempotency-Key`) makes no second run:
    it follows the first one's stream, with a cursor only what comes after it.
    """
    cursor = _cursor(request, after)
    state = app_state(request)
    visitor = await state.visitor(request)
    data = await read_json(request, state.config.max_body_bytes)
    asked = parse_send(data, max_text_bytes=state.config.max_message_bytes)
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= description.MAX_KEY_LENGTH:
        raise InvalidRequest(
            f"The Idempotency-Key must have 1 to {description.MAX_KEY_LENGTH} characters."
        )
    sent = await _send_first_that_fits(state, visitor, asked, key, data)
    if sent.created:  # a client has nothing of a new run
        return _stream(state, visitor, Reader(state.store.log, Cursor.beginning(sent.run.id)))
    reader = Reader(state.store.log, cursor or Cursor.beginning(sent.run.id))
    if reader.run_id != sent.run.id:
        raise CursorLost
    page = await reader.read(max_bytes=PAGE_BYTES)
    return _stream(state, visitor, reader, page)


def _cursor(request: Request, after: str | None) -> Cursor | None:
    """The place that a client goes on from; None for the beginning. Raises InvalidCursor."""
    text = request.headers.get("last-event-id") or after
    return Cursor.parse(text) if text else None


async def _send_first_that_fits(
    state: AppState, visitor: Visitor, asked: Send, key: str | None, body: bytes
) -> Sent:
    misfit: DurableError = InvalidRequest("There is nothing to answer.")
    for reading in asked.readings:
        order = _order(state, visitor, asked, reading, key)
        try:
            return await moving_on.send(state, order, body)
        except (ChatNotFound, MessageNotFound, MessageConflict) as error:
            misfit = error
    raise misfit


def _order(
    state: AppState, visitor: Visitor, asked: Send, reading: Reading, key: str | None
) -> Order:
    now = state.worker.now()
    if key is not None:
        key = f"key:{key}"
    elif reading.message_id is not None:
        key = f"message:{reading.message_id}"
    return Order(
        owner=visitor.owner,
        chat_id=asked.chat_id,
        place=reading.place,
        anchor=reading.anchor,
        message_id=reading.message_id,
        body=reading.body(),
        content=reading.content,
        shown=asked.shown,
        run_id=new_id(now),
        answer_id=new_id(now),
        model=state.model(asked.model),
        key=key,
        title=_title(reading.text),
        now=now,
    )


def _title(text: str) -> str:
    """The beginning of the first message, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_LENGTH else line[: _TITLE_LENGTH - 1].rstrip() + "…"


def _stream(
    state: AppState, visitor: Visitor, reader: Reader, page: Page | None = None
) -> RunStream:
    state.streams.check_open()  # an empty stream would look like an empty answer
    headers = {**STREAM_HEADERS, **visitor.headers, "x-run-id": reader.run_id}
    return RunStream(state.streams, reader, headers, page)


@router.get(
    "/api/chat/{chat_id}/stream",
    operation_id="follow_answer",
    response_class=Response,
    responses=description.FOLLOWED | described(400, 401, 404, 410, 503),
    openapi_extra=description.FROM_A_CURSOR,
)
async def resume(request: Request, after: description.After = None) -> Response:
    """Follow the chat's active run; with a cursor only what comes after it.

    The cursor is the id of the last event received, as `Last-Event-ID` header or as `after`. It
    names its run: the rest of a run that has ended meanwhile is sent too.

    A chat that does not exist, or is somebody else's, has no active run: a client may ask before
    its first message.
    """
    state = app_state(request)
    visitor = await state.visitor(request)
    chat = chat_id(request)
    cursor = _cursor(request, after)
    if cursor is None:
        try:
            run = await state.store.runs.find(visitor.owner, chat)
        except (ChatNotFound, RunNotFound):
            return Response(status_code=204, headers=dict(visitor.headers))
        return _stream(state, visitor, Reader(state.store.log, Cursor.beginning(run.id)))
    try:
        await state.store.runs.find(visitor.owner, chat, cursor.run_id)
    except RunNotFound as error:
        raise CursorLost from error  # its record is past its retention, or the store has lost it
    reader = Reader(state.store.log, cursor)
    page = await reader.read(max_bytes=PAGE_BYTES)
    if reader.ended and not page.records:
        return Response(status_code=204, headers=dict(visitor.headers))
    return _stream(state, visitor, reader, page)


@router.post(
    "/api/chat/{chat_id}/stop",
    operation_id="stop_answer",
    response_class=Response,
    responses=description.STOPPED | described(400, 401, 404, 503),
    openapi_extra=description.IN_A_CHAT,
)
async def stop(request: Request, run: description.RunId = None) -> Response:
    """Stop the active run, or only the one that is named. What was said so far is kept.

    When it returns, no chunk can follow. `stopped` is null when there was nothing to stop.
    """
    state = app_state(request)
    visitor = await state.visitor(request)
    stopped = None
    try:
        found = await state.store.runs.find(visitor.owner, chat_id(request), run)
        if not found.status.ended and await state.worker.stop(found):
            stopped = found.id
    except RunNotFound:
        if run is not None:
            raise
    return json_response({"stopped": stopped}, visitor)
