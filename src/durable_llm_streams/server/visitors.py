"""Whose request is it? Anonymous visitors by a signed cookie; anything else by a hook."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from itsdangerous import BadSignature, Signer, TimestampSigner
from starlette.requests import HTTPConnection

COOKIE = "dls_visitor"

_YEAR_SECONDS = 365 * 24 * 3600
_RENEW_SECONDS = 7 * 24 * 3600


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


class _Stamp(TimestampSigner):
    """Signs with the time of a clock that is handed in."""

    def __init__(self, secret: bytes, salt: str, now: Callable[[], float]) -> None:
        super().__init__(secret, salt=salt)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now())


def anonymous(secret: bytes, *, now: Callable[[], float] = time.time) -> Authenticate:
    """Everybody who comes is a visitor of his own, known again by a signed cookie.

    The cookie is HttpOnly and SameSite=Lax, and Secure over https. It lasts a year and is renewed
    once a week at the most, so that it never ends for somebody who comes back. A cookie that was
    not signed with the secret counts as none.

    Args:
        secret: the key; the same for all servers of a store.
        now: the time, in seconds since 1970 UTC.
    """
    signer = _Stamp(secret, f"{COOKIE} with time", now)
    without_time = Signer(secret, salt=COOKIE)  # what earlier versions signed: renewed when seen

    def known(cookie: str) -> tuple[str, bool]:
        """Whose cookie it is, and whether it is fresh."""
        try:
            owner, signed_at = signer.unsign(cookie, return_timestamp=True)
        except BadSignature:
            return without_time.unsign(cookie).decode(), False
        return owner.decode(), abs(now() - signed_at.timestamp()) < _RENEW_SECONDS

    async def authenticate(connection: HTTPConnection) -> Visitor:
        try:
            owner, fresh = known(connection.cookies.get(COOKIE, ""))
        except (BadSignature, UnicodeDecodeError):
            owner, fresh = f"visitor-{secrets.token_urlsafe(18)}", False
        if fresh:
            return Visitor(owner)
        secure = "; Secure" if connection.url.scheme == "https" else ""
        value = signer.sign(owner).decode()
        attributes = f"Path=/; Max-Age={_YEAR_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        return Visitor(owner, {"set-cookie": f"{COOKIE}={value}; {attributes}"})

    return authenticate
