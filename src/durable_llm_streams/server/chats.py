"""The routes for chats and what is in them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from msgspec import Raw, Struct
from starlette.responses import Response

from durable_llm_streams.clock import timestamp
from durable_llm_streams.errors import InvalidPageToken, InvalidRequest
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Chat, Cursor, token_at, valid_id
from durable_llm_streams.store import Snapshot

from . import description
from .problems import described
from .requests import chat_id, decoded, json_response, read_json
from .state import app_state

router = APIRouter(tags=["chats"])


class _Rename(Struct):
    title: str


@router.get(
    "/api/chats",
    operation_id="list_chats",
    response_class=Response,
    responses=description.CHAT_LIST | described(400, 401, 503),
)
async def list_chats(
    request: Request,
    q: description.Search = "",
    limit: description.Limit = 30,
    before: description.Before = None,
) -> Response:
    """The sender's chats, newest first. `next` is the `before` of the next page, or null."""
    state = app_state(request)
    principal = await state.principal(request)
    if not 1 <= limit <= description.MOST_CHATS:
        raise InvalidRequest(f"`limit` must be between 1 and {description.MOST_CHATS}.")
    if len(q) > description.MAX_QUERY_LENGTH:
        raise InvalidRequest(
            f"`q` must not have more than {description.MAX_QUERY_LENGTH} characters."
        )
    try:
        page = await state.store.chats.page(
            principal.owner, query=q.strip(), limit=limit, more=before
        )
    except InvalidPageToken as error:
        raise InvalidRequest(
            "`before` is not a token of this list. Use `next` of the page before."
        ) from error
    chats = [chat_row(chat) for chat in page.chats]
    return json_response({"chats": chats, "next": page.more}, principal)


@router.get(
    "/api/chats/{chat_id}",
    operation_id="get_chat",
    response_class=Response,
    responses=description.SNAPSHOT | described(400, 401, 404, 503),
    openapi_extra=description.IN_A_CHAT,
)
async def get_chat(request: Request, leaf: description.Leaf = None) -> Response:
    """A chat as of one moment: its messages, its active run and that run's cursor.

    The last message of an active run is the text so far. Following the run after `cursor` repeats
    nothing and misses nothing. `versions` lists the messages of all branches; `leaf` selects the
    branch of a message.
    """
    state = app_state(request)
    principal = await state.principal(request)
    if leaf is not None and not valid_id(leaf):
        raise InvalidRequest("Invalid message id.")
    snapshot = await state.store.chats.snapshot(principal.owner, chat_id(request), leaf)
    return json_response(_snapshot(snapshot), principal)


@router.patch(
    "/api/chats/{chat_id}",
    operation_id="rename_chat",
    response_class=Response,
    responses=description.CHAT_ROW | described(400, 401, 404, 413, 415, 503),
    openapi_extra=description.RENAMING,
)
async def rename_chat(request: Request) -> Response:
    """Give a chat another title: `{"title": "…"}`."""
    state = app_state(request)
    principal = await state.principal(request)
    data = await read_json(request, state.config.max_body_bytes)
    title = " ".join(decoded(data, _Rename, '{"title": "…"}').title.split())
    if not 0 < len(title) <= description.MAX_TITLE_LENGTH:
        raise InvalidRequest(f"The title must have 1 to {description.MAX_TITLE_LENGTH} characters.")
    chat = await state.store.chats.rename(principal.owner, chat_id(request), title)
    return json_response(chat_row(chat), principal)


@router.delete(
    "/api/chats/{chat_id}",
    operation_id="delete_chat",
    status_code=204,
    response_class=Response,
    responses=description.DELETED | described(400, 401, 404, 503),
    openapi_extra=description.IN_A_CHAT,
)
async def delete_chat(request: Request) -> Response:
    """Delete a chat with all its messages and runs. An active run is stopped."""
    state = app_state(request)
    principal = await state.principal(request)
    await state.worker.delete(principal.owner, chat_id(request))
    return Response(status_code=204, headers=dict(principal.headers))


@router.get(
    "/api/models",
    operation_id="list_models",
    response_class=Response,
    responses=description.MODELS | described(401),
)
async def list_models(request: Request) -> Response:
    """The models offered; the first one is the default."""
    state = app_state(request)
    principal = await state.principal(request)
    return json_response({"models": state.config.models}, principal)


def chat_row(chat: Chat) -> dict[str, Any]:
    """A chat as lists and the feed show it."""
    return {
        "id": chat.id,
        "title": chat.title,
        "created_at": timestamp(chat.created_at),
        "updated_at": timestamp(chat.updated_at),
        "active": chat.active_run is not None,
    }


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    run, log = snapshot.run, snapshot.log
    bodies = {message.id: message.body for message in snapshot.messages if message.body}
    active = None
    if run is not None and log is not None:
        fold = Fold.of(log.records)
        on_branch = any(message.id == run.message_id for message in snapshot.messages)
        if fold.message_id and on_branch:
            bodies[run.message_id] = fold.body()
        active = {
            "id": run.id,
            "message_id": run.message_id,
            "model": run.model,
            "status": run.status,
            "cursor": str(Cursor(run.id, log.last, token_at(log.spans, log.last))),
        }
    order = [message.id for message in snapshot.messages if message.id in bodies]
    return {
        **chat_row(snapshot.chat),
        "messages": [Raw(bodies[message_id]) for message_id in order],
        "active_run": active,
        "versions": [
            {"id": id_, "parent": parent, "role": role} for id_, parent, role in snapshot.versions
        ],
    }
