"""Anonymous visitors: each browser is one, and has a signed cookie."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from itsdangerous import BadSignature, Signer, TimestampSigner
from starlette.requests import HTTPConnection, cookie_parser

from .authentication import Authenticate
from .principal import Principal

#: The cookie's name in earlier versions, the same for every server; it is still read.
COOKIE: Final = "dls_visitor"

_YEAR_SECONDS: Final = 365 * 24 * 3600
_RENEW_SECONDS: Final = 7 * 24 * 3600
_NAME_DIGITS: Final = 8
_CROSS_SITE: Final = "_x"


class _Stamp(TimestampSigner):
    """Signs with the time of a given clock."""

    def __init__(self, secret: bytes, salt: str, now: Callable[[], float]) -> None:
        super().__init__(secret, salt=salt)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now())


class _Known(NamedTuple):
    """The owner of a cookie, and whether it is too new to be renewed."""

    owner: str
    is_fresh: bool


def cookie_name(secret: bytes) -> str:
    """The name of the cookie of a store's servers.

    Browsers keep one cookie of a name for a host, whatever the port (RFC 6265, section 8.5). The
    name depends on the secret, so that the servers of two stores do not overwrite each other's.
    """
    digest = hmac.digest(secret, b"the cookie's name", hashlib.sha256)
    return f"{COOKIE}_{digest.hex()[:_NAME_DIGITS]}"


def anonymous(
    secret: bytes, *, now: Callable[[], float] = time.time, cross_site: bool = False
) -> Authenticate:
    """Each browser is an anonymous visitor, identified by a signed cookie.

    The cookie is HttpOnly and SameSite=Lax, and Secure over https. Its path is the base path. It is
    valid for a year and renewed once a week at most, so it does not expire for visitors who come
    back. A cookie that was not signed with the secret is ignored.

    Args:
        secret: the key; the same for all servers of a store.
        now: the time, in seconds since 1970 UTC.
        cross_site: whether pages of other sites send the cookie too. Over https it is then
            SameSite=None and has a second name, so that the cookie with the first name is kept.
    """
    signer = _Stamp(secret, f"{COOKIE} with time", now)
    without_time = Signer(secret, salt=COOKIE)  # what earlier versions signed: renewed when seen
    own = cookie_name(secret)
    names = (own, own + _CROSS_SITE, COOKIE)  # in the order of their precedence

    def known(cookie: str) -> _Known | None:
        try:
            try:
                owner, signed_at = signer.unsign(cookie, return_timestamp=True)
            except BadSignature:
                return _Known(without_time.unsign(cookie).decode(), False)
            return _Known(owner.decode(), abs(now() - signed_at.timestamp()) < _RENEW_SECONDS)
        except (BadSignature, UnicodeDecodeError):
            return None

    async def authenticate(connection: HTTPConnection) -> Principal:
        secure = connection.url.scheme == "https"
        name = own + _CROSS_SITE if cross_site and secure else own
        found: dict[str, _Known] = {}
        for each, value in _cookies(connection, names):
            cookie = known(value)
            if cookie is not None:
                found.setdefault(each, cookie)  # the first one is that of the longest path
        owners = [found[each].owner for each in names if each in found]
        owner = owners[0] if owners else f"visitor-{secrets.token_urlsafe(18)}"
        stays = name in found and (found[name].is_fresh or found[name].owner != owner)
        if stays:
            return Principal(owner, "visitor")
        value = signer.sign(owner).decode()
        cookie_line = f"{name}={value}; {_attributes(connection, secure, name != own)}"
        headers = {"set-cookie": cookie_line}
        return Principal(owner, "visitor", headers=headers, is_new=not owners)

    return authenticate


def _cookies(connection: HTTPConnection, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """All cookies with these names, in the order of the request."""
    for line in connection.headers.getlist("cookie"):
        for pair in line.split(";"):
            if pair.partition("=")[0].strip() in names:
                yield from cookie_parser(pair).items()


def _attributes(connection: HTTPConnection, secure: bool, cross_site: bool) -> str:
    path = connection.scope.get("root_path") or "/"
    same_site = "None" if cross_site else "Lax"
    ending = "; Secure" if secure else ""
    return f"Path={path}; Max-Age={_YEAR_SECONDS}; HttpOnly; SameSite={same_site}{ending}"
