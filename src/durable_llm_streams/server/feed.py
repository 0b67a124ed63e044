"""`GET /api/events`: what happens to the sender's chats, while it happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Send

from durable_llm_streams.chunks import encode
from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.store import Change, Changes, FeedStore
from durable_llm_streams.wire import sse

from . import description, streams
from .chats import chat_row
from .open_streams import OpenStreams
from .problems import described
from .state import app_state

router = APIRouter(tags=["chats"])


@router.get(
    "/api/events",
    operation_id="follow_feed",
    response_class=Response,
    responses=description.FEED | described(401, 429, 503),
    openapi_extra=description.FROM_A_POSITION,
)
async def follow_feed(request: Request, after: description.AfterPosition = None) -> Response:
    """The sender's live feed: chats created, renamed and deleted; runs started and ended.

    The first event is `open`; its `complete` is false when something may have been missed: then
    list the chats again. To go on, send the id of the last event received, as `Last-Event-ID`
    header or as `after`.
    """
    state = app_state(request)
    principal = await state.principal(request)
    state.streams.check_open()
    state.streams.check_room(principal.owner)
    position = request.headers.get("last-event-id") or after
    if principal.is_new:
        position = None  # of another visitor: this browser was signed out
    found = await state.store.feed.changes(principal.owner, position)
    headers = {**sse.HEADERS, **principal.headers}
    # A complete feed goes on from the client's own position.
    first = found.position if position is None or not found.complete else position
    return FeedStream(state.streams, state.store.feed, principal.owner, (first, found), headers)


class FeedStream(streams.EventStream):
    """Follows an owner's feed.

    Args:
        open_streams: of the process.
        feed: where the changes come from.
        owner: whose.
        beginning: the position where the stream begins, and the changes since then.
        headers: of the response.
    """

    def __init__(
        self,
        open_streams: OpenStreams,
        feed: FeedStore,
        owner: str,
        beginning: tuple[str, Changes],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(open_streams, headers, owner)
        self._feed = feed
        self._beginning = beginning

    async def _pump(self, send: Send) -> None:
        position, found = self._beginning
        opened = encode({"type": "open", "complete": found.complete})
        body = sse.opening() + sse.frame(position, opened)
        while True:
            body += b"".join(_event(change) for change in found.changes)
            message = {"type": "http.response.body", "body": body or sse.HEARTBEAT}
            await send({**message, "more_body": True})
            found = await self._next(send, found.position)
            if not found.complete:
                return  # changes were dropped; the client reconnects, and `open` says so
            body = b""

    async def _next(self, send: Send, position: str) -> Changes:
        """The changes after a position; waits while the store does not answer."""
        outage: float | None = None
        while True:
            try:
                return await self._feed.changes(
                    self._owner, position, wait=streams.HEARTBEAT_SECONDS
                )
            except StoreUnavailable:
                outage = await self._outage(send, outage)


def _event(change: Change) -> bytes:
    event: dict[str, Any] = {"type": change.kind}
    if change.chat is None:
        event["id"] = change.chat_id
    else:
        event["chat"] = chat_row(change.chat)
    if change.run_id is not None:
        event |= {"run": change.run_id, "message": change.message_id}
    if change.status is not None:
        event["status"] = change.status
    return sse.frame(change.position, encode(event))
