"""Whose request is it? Anonymous visitors by a signed cookie; anything else by a hook."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from itsdangerous import BadSignature, Signer
from starlette.requests import HTTPConnection

COOKIE = "dls_visitor"

_YEAR_SECONDS = 365 * 24 * 3600


class Visitor(NamedTuple):
    """Who asks.

    Attributes:
        owner: what chats are filed under.
        headers: for the response, a new cookie perhaps.
    """

    owner: str
    headers: Mapping[str, str] = {}


#: The hook: who asks? Raise `server.Unauthenticated` when nobody knows.
Authenticate = Callable[[HTTPConnection], Awaitable[Visitor]]


def anonymous(secret: bytes) -> Authenticate:
    """Everybody who comes is a visitor of his own, known again by a signed cookie.

    The cookie is HttpOnly and SameSite=Lax, and Secure over https. A cookie that was not signed
    with the secret counts as none.

    Args:
        secret: the key; the same for all servers of a store.
    """
    signer = Signer(secret, salt=COOKIE)

    async def authenticate(connection: HTTPConnection) -> Visitor:
        cookie = connection.cookies.get(COOKIE, "")
        try:
            return Visitor(signer.unsign(cookie).decode())
        except (BadSignature, UnicodeDecodeError):
            owner = f"visitor-{secrets.token_urlsafe(18)}"
        secure = "; Secure" if connection.url.scheme == "https" else ""
        value = signer.sign(owner).decode()
        attributes = f"Path=/; Max-Age={_YEAR_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        return Visitor(owner, {"set-cookie": f"{COOKIE}={value}; {attributes}"})

    return authenticate
