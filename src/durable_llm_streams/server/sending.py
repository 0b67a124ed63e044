"""`POST /api/chat`: send a message, edit one, regenerate an answer."""

from __future__ import annotations

import functools

from fastapi import APIRouter, Request
from msgspec import structs
from starlette.responses import Response

from durable_llm_streams.errors import (
    ChatNotFound,
    CursorLost,
    DurableError,
    InvalidRequest,
    MessageConflict,
    MessageNotFound,
)
from durable_llm_streams.ids import new_id
from durable_llm_streams.log import Reader
from durable_llm_streams.model import Cursor
from durable_llm_streams.store import Order, Sent
from durable_llm_streams.wire.aisdk import Reading, Send, parse_send

from . import busy_chat, description, rate_limit
from .answers import answer_stream, cursor_of
from .principal import Principal
from .problems import described
from .quotas import branch_of
from .requests import parsed, read_json
from .state import AppState, app_state
from .streams import PAGE_BYTES

router = APIRouter(tags=["answers"])

_TITLE_LENGTH = 80


@router.post(
    "/api/chat",
    operation_id="send_message",
    response_class=Response,
    responses=description.SENT | described(400, 401, 404, 409, 410, 413, 415, 429, 503),
    openapi_extra=description.SENDING,
)
async def send(request: Request, after: description.After = None) -> Response:
    """Send a message, edit one, or ask for another answer. Answers with the run's stream.

    A duplicate (the same message id, or the same `Idempotency-Key`) makes no second run: it follows
    the first one's stream, with a cursor only what comes after it.
    """
    cursor = cursor_of(request, after)
    state = app_state(request)
    principal = await state.principal(request)
    data = await read_json(request, state.config.max_body_bytes)
    parse = functools.partial(parse_send, max_text_bytes=state.config.max_message_bytes)
    asked = await parsed(parse, data)
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= description.MAX_KEY_LENGTH:
        raise InvalidRequest(
            f"The Idempotency-Key must have 1 to {description.MAX_KEY_LENGTH} characters."
        )
    state.streams.check_room(principal.owner)  # before anything is written
    await _admit(state, principal, request)
    sent = await _send_first_valid(state, principal, asked, key, data)
    beginning = Cursor.beginning(sent.run.id)
    if sent.created:  # a client cannot have a cursor of a new run
        new = Reader(state.store.log, beginning)
        return answer_stream(state, principal, new, more=rate_limit.left(sent.levels))
    reader = Reader(state.store.log, cursor or beginning)
    if reader.run_id != sent.run.id:
        raise CursorLost
    page = await reader.read(max_bytes=PAGE_BYTES)
    return answer_stream(state, principal, reader, page)


async def _admit(state: AppState, principal: Principal, request: Request) -> None:
    """Count a visitor who has no chats yet against the address. Raises TooManyVisitors.

    A cookie is no proof: every request without one gets one.
    """
    newcomers, owner = state.newcomers, principal.owner
    if principal.kind != "visitor" or newcomers.knows(owner):
        return
    is_new = principal.is_new or not (await state.store.chats.page(owner, limit=1)).chats
    if is_new and not newcomers.knows(owner):  # a concurrent request may have admitted it
        newcomers.admit(request.client.host if request.client else "")
    newcomers.remember(owner)


async def _send_first_valid(
    state: AppState, principal: Principal, asked: Send, key: str | None, body: bytes
) -> Sent:
    refusal: DurableError = InvalidRequest("There is nothing to answer.")
    for reading in asked.readings:
        order = _order(state, principal, asked, reading, key)
        try:
            return await busy_chat.send(state, await _charged(state, order), body)
        except (ChatNotFound, MessageNotFound, MessageConflict) as error:
            refusal = error
    raise refusal


async def _charged(state: AppState, order: Order) -> Order:
    """The order with what it costs."""
    quotas = state.config.quotas
    sent = 0
    if quotas.counts_tokens:
        sent = state.worker.sent_tokens(await branch_of(state.store.chats, order))
    return structs.replace(
        order,
        charges=quotas.charges(order.owner),
        reservation=quotas.reservation(order.owner, sent),
    )


def _order(
    state: AppState, principal: Principal, asked: Send, reading: Reading, key: str | None
) -> Order:
    now = state.worker.now()
    if key is not None:
        key = f"key:{key}"
    elif reading.message_id is not None:
        key = f"message:{reading.message_id}"
    return Order(
        owner=principal.owner,
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
