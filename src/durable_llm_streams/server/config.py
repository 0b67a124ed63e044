"""The configuration of the HTTP server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from .cookies import COOKIE_SECONDS
from .quotas import Quotas


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
    """The configuration of the HTTP server.

    Attributes:
        models: what is offered; the first one is used when a client names none.
        on_busy: what happens to a message while an answer is being written in its chat: `reject`
            it (409), `queue` it, or `interrupt` the answer.
        max_message_bytes: the longest accepted message, in UTF-8 bytes.
        max_body_bytes: the largest accepted body.
        new_visitors: how many new visitors of one address may send within an hour; 0 is unlimited.
        store_patience: seconds that open streams wait for a store that does not answer.
        base_path: the path below which everything is served, such as `/chat`; "" for none.
        cors_origins: origins of other sites whose pages may call the API.
        frame_ancestors: origins of sites whose pages may show ours in a frame.
        hosts: the names by which clients may address the server, without a port. `*` is any:
            then a server that only its own machine reaches is open to every page (DNS rebinding).
        docs: whether `/docs` and `/openapi.json` are served.
        cookie_age: seconds that a visitor's cookie is valid after it was signed.
        quotas: how much owners may ask.
    """

    models: Sequence[OfferedModel]
    on_busy: Literal["reject", "queue", "interrupt"] = "reject"
    max_message_bytes: int = 256 * 1024
    max_body_bytes: int = 1024 * 1024
    new_visitors: int = 0
    store_patience: float = 60.0
    base_path: str = ""
    cors_origins: Sequence[str] = ()
    frame_ancestors: Sequence[str] = ()
    hosts: Sequence[str] = ("*",)
    docs: bool = True
    cookie_age: float = COOKIE_SECONDS
    quotas: Quotas = Quotas()
