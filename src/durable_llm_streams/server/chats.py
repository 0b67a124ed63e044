"""The routes for chats and what is in them."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from msgspec import Raw, Struct
from starlette.responses import Response

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Chat, Cursor, token_at, valid_id
from durable_llm_streams.runs.endings import timestamp
from durable_llm_streams.store import Snapshot

from .context import chat_id, context, json_response, read_json

router = APIRouter(tags=["chats"])

_MOST_CHATS = 100
_MAX_TITLE = 200
_MAX_QUERY = 200


class _Rename(Struct):
    title: str


@router.get("/api/chats")
async def list_chats(
    request: Request, q: str = "", limit: int = 30, before: str | None = None
) -> Response:
    """The visitor's chats, newest first. `next` is the `before` of the next page, or null."""
    shared = context(request)
    visitor = await shared.visitor(request)
    if not 1 <= limit <= _MOST_CHATS:
        raise InvalidRequest(f"`limit` must be between 1 and {_MOST_CHATS}.")
    if len(q) > _MAX_QUERY:
        raise InvalidRequest(f"`q` must not have more than {_MAX_QUERY} characters.")
    page = await shared.store.chats(visitor.owner, query=q.strip(), limit=limit, more=before)
    chats = [chat_row(chat) for chat in page.chats]
    return json_response({"chats": chats, "next": page.more}, visitor)


@router.get("/api/chats/{chat_id}")
async def get_chat(request: Request, leaf: str | None = None) -> Response:
    """A chat as of one moment: its messages, its active run and that run's cursor.

    The last message of an active run is what was said so far. Following the run after `cursor`
    goes on without a seam. `versions` tells of the messages on all branches; `leaf` shows the
    branch that a message is on.
    """
    shared = context(request)
    visitor = await shared.visitor(request)
    if leaf is not None and not valid_id(leaf):
        raise InvalidRequest("This cannot be a message's id.")
    snapshot = await shared.store.snapshot(visitor.owner, chat_id(request), leaf)
    return json_response(_snapshot(snapshot), visitor)


@router.patch("/api/chats/{chat_id}")
async def rename_chat(request: Request) -> Response:
    """Give a chat another title: `{"title": "…"}`."""
    shared = context(request)
    visitor = await shared.visitor(request)
    data = await read_json(request, shared.config.max_body_bytes)
    try:
        title = " ".join(msgspec.json.decode(data, type=_Rename).title.split())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f'The body is not `{{"title": "…"}}`: {error}.') from error
    if not 0 < len(title) <= _MAX_TITLE:
        raise InvalidRequest(f"The title must have 1 to {_MAX_TITLE} characters.")
    chat = await shared.store.rename(visitor.owner, chat_id(request), title)
    return json_response(chat_row(chat), visitor)


@router.delete("/api/chats/{chat_id}", status_code=204, response_class=Response)
async def delete_chat(request: Request) -> Response:
    """Delete a chat with all its messages and runs. An active run is stopped."""
    shared = context(request)
    visitor = await shared.visitor(request)
    await shared.worker.delete(visitor.owner, chat_id(request))
    return Response(status_code=204, headers=dict(visitor.headers))


@router.get("/api/models")
async def list_models(request: Request) -> Response:
    """The models offered; the first one is the default."""
    shared = context(request)
    visitor = await shared.visitor(request)
    return json_response({"models": shared.config.models}, visitor)


def chat_row(chat: Chat) -> dict[str, Any]:
    """A chat as lists and the feed tell of it."""
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
