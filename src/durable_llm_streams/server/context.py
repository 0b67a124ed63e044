"""What the routes work with, and how they get at a request's parts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from durable_llm_streams.chunks import encode
from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import valid_id
from durable_llm_streams.runs import Worker
from durable_llm_streams.store import Store

from .problems import TooLarge, UnsupportedMediaType
from .streams import Streams
from .visitors import Authenticate, Visitor

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class OfferedModel(Struct, frozen=True):
    """A model that clients may choose.

    Attributes:
        id: what the provider calls it.
        name: what people call it.
        demo: whether it is the built-in demo.
    """

    id: str
    name: str
    demo: bool = False


class ServerConfig(Struct, frozen=True, kw_only=True):
    """What the HTTP side needs to know.

    Attributes:
        models: what is offered; the first one is used when a client names none.
        on_busy: what a message does that comes while an answer is written in its chat: `reject`
            (409), `queue` behind it, or `interrupt` it.
        max_message_bytes: the longest message taken, in UTF-8 bytes.
        max_body_bytes: the largest body read.
        store_patience: seconds that open streams wait for a store that does not answer.
        base_path: the path below which everything is served, such as `/chat`; "" for none.
        cors_origins: origins of other sites whose pages may call the API.
        frame_ancestors: origins of sites whose pages may show ours in a frame.
    """

    models: Sequence[OfferedModel]
    on_busy: Literal["reject", "queue", "interrupt"] = "reject"
    max_message_bytes: int = 256 * 1024
    max_body_bytes: int = 8 * 1024 * 1024
    store_patience: float = 60.0
    base_path: str = ""
    cors_origins: Sequence[str] = ()
    frame_ancestors: Sequence[str] = ()


class Context:
    """What the routes share."""

    def __init__(
        self, store: Store, worker: Worker, config: ServerConfig, authenticate: Authenticate | None
    ) -> None:
        self.store = store
        self.worker = worker
        self.config = config
        self.streams = Streams(config.store_patience)
        self.authenticate = authenticate
        self.is_unready = False  # as the last readiness check found

    async def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises what the hook raises."""
        assert self.authenticate is not None
        visitor = await self.authenticate(request)
        request.state.visitor = visitor
        return visitor

    def model(self, asked: str | None) -> str:
        """The model to use. Raises InvalidRequest when it is not offered."""
        offered = [model.id for model in self.config.models]
        if asked is None or asked in offered:
            return asked or offered[0]
        raise InvalidRequest(
            f"The model `{asked[:100]}` is not offered. Choose one of GET /api/models."
        )

    def drain(self) -> None:
        """Take no more work; end the streams cleanly, so that clients come back elsewhere."""
        self.worker.drain()
        self.streams.close()

    async def finish(self) -> None:
        """Take no more work, and let what is being written come to its end: see `Worker.finish`.

        Streams open and go on meanwhile, and runs can be stopped; only messages are refused.
        """
        await self.worker.finish()

    async def hand_over(self) -> None:
        """Give back what is being written, then end the streams: their ends are complete.

        In this order, so that somebody writes on while the readers are on their way to another
        process.
        """
        await self.worker.close()
        self.drain()


def context(request: Request) -> Context:
    """The context of the application that a request came to."""
    found = request.app.state.durable
    assert isinstance(found, Context)
    return found


async def read_json(request: Request, max_bytes: int) -> bytes:
    """A JSON body.

    A request of another site cannot have this content type without a preflight, which is refused
    to sites that are not named: with the cookie's SameSite that keeps foreign pages out.

    Raises:
        UnsupportedMediaType: it is not declared as JSON.
        TooLarge: it is longer than `max_bytes`.
        InvalidRequest: the client went away in the middle of it.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedMediaType("Send the body as JSON, with `Content-Type: application/json`.")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > max_bytes:
                raise TooLarge(
                    f"The body has more than {max_bytes} bytes. Send only the new message."
                )
    except ClientDisconnect as error:
        raise InvalidRequest("The body ended too early. Send it again.") from error
    return bytes(body)


def chat_id(request: Request) -> str:
    """The chat id in the path. Raises InvalidRequest when none can have this form."""
    found = str(request.path_params["chat_id"])
    if not valid_id(found):
        raise InvalidRequest("This cannot be a chat's id.")
    return found


def json_response(content: Any, visitor: Visitor, status: int = 200) -> Response:
    """A JSON answer that is nobody else's."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **visitor.headers}
    return Response(encode(content), status, headers, "application/json")


def new_id(now: int) -> str:
    """A new run's or message's id: 22 characters, of which the first 10 sort by time."""
    number = (now << 60) | secrets.randbits(60)
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(105, -1, -5)]
    return "".join(digits)
