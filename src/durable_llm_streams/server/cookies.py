"""The visitor's cookie: its names, how it is signed and read, and how it is set.

Theory of operation
===================
1. A cookie is `OWNER.TIME.SIGNATURE`: HMAC-SHA-256 with the first of a list of keys. All of them
   are tried when it is read, so a key can be replaced: the new one comes first for as long as
   cookies of the old one are in use.
2. Over https, without a base path, its name begins with `__Host-` (RFC 6265bis, section 4.1.3.2).
   Such a cookie cannot be set by another host of the same site, nor for one. It is signed for
   another purpose than the plain one, so its value is worth nothing under the plain name.
3. A plain cookie is still read over https: it was set before the server had https, or by an earlier
   version. It is replaced when it is seen.
4. Earlier versions signed with SHA-1 and the store's secret, first without a time. They count as
   signed when this version first served the store.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from itsdangerous import BadSignature, Signer, TimestampSigner
from starlette.requests import HTTPConnection, cookie_parser

#: The cookie's name in earlier versions, the same for every server; it is still read.
COOKIE: Final = "dls_visitor"

#: How long a cookie is valid after it was signed, in seconds: 400 days, browsers' own limit.
COOKIE_SECONDS: Final = 400 * 24 * 3600.0

_HOST: Final = "__Host-"
_NAME_DIGITS: Final = 8
_CROSS_SITE: Final = "_x"


class _Stamp(TimestampSigner):
    """Signs with the time of a given clock."""

    def __init__(
        self, keys: Sequence[bytes], salt: str, now: Callable[[], float], digest: Any
    ) -> None:
        # The library signs with the last key.
        super().__init__(list(reversed(keys)), salt=salt, digest_method=digest)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now())


class Signed(NamedTuple):
    """What a valid signature says.

    Attributes:
        owner: the visitor.
        at: when it was signed, in seconds; None if an earlier version signed it without a time.
        is_current: whether it need not be signed anew because of its form or its key.
    """

    owner: str
    at: float | None
    is_current: bool = True


class Names(NamedTuple):
    """The names of a store's cookies.

    Attributes:
        host: over https without a base path.
        plain: everywhere else.
    """

    host: str
    plain: str

    @classmethod
    def of(cls, secret: bytes) -> Names:
        """The names for a store's secret."""
        plain = cookie_name(secret)
        return cls(_HOST + plain, plain)

    @property
    def all(self) -> tuple[str, ...]:
        """Every name that is read, in the order of their precedence."""
        first = (self.host, self.host + _CROSS_SITE)
        return (*first, self.plain, self.plain + _CROSS_SITE, COOKIE)

    def chosen(self, connection: HTTPConnection, cross_site: bool) -> str:
        """The name of the cookie that an answer to a request sets."""
        if connection.url.scheme != "https":
            return self.plain
        name = self.host if path_of(connection) == "/" else self.plain
        return name + _CROSS_SITE if cross_site else name


def cookie_name(secret: bytes) -> str:
    """The plain name of the cookie of a store's servers.

    Browsers keep one cookie of a name for a host, whatever the port (RFC 6265, section 8.5). The
    name depends on the secret, so that the servers of two stores do not overwrite each other's.
    """
    digest = hmac.digest(secret, b"the cookie's name", hashlib.sha256)
    return f"{COOKIE}_{digest.hex()[:_NAME_DIGITS]}"


class CookieSigner:
    """Signs and reads the values of cookies.

    Args:
        secret: the store's own key.
        keys: the operator's keys; the first one signs. Without any, the secret signs.
        now: the time, in seconds.
    """

    def __init__(self, secret: bytes, keys: Sequence[bytes], now: Callable[[], float]) -> None:
        every = [*keys, secret]

        def signer(salt: str, some: Sequence[bytes]) -> _Stamp:
            return _Stamp(some, f"{salt} by SHA-256", now, hashlib.sha256)

        self._signing = {host: signer(_salt(host), every[:1]) for host in (True, False)}
        self._reading = {host: signer(_salt(host), every) for host in (True, False)}
        self._sha1 = _Stamp([secret], f"{COOKIE} with time", now, hashlib.sha1)
        self._without_time = Signer(secret, salt=COOKIE, digest_method=hashlib.sha1)

    def sign(self, owner: str, name: str) -> str:
        """The value of a cookie with this name."""
        return self._signing[name.startswith(_HOST)].sign(owner).decode()

    def read(self, cookie: str, name: str) -> Signed | None:
        """What a cookie with this name says; None if it was not signed here for that name."""
        host = name.startswith(_HOST)
        signers = [(self._signing[host], True), (self._reading[host], False)]
        if not host:
            signers.append((self._sha1, False))
        try:
            for signer, is_current in signers:
                try:
                    owner, at = signer.unsign(cookie, return_timestamp=True)
                except BadSignature:
                    continue
                return Signed(owner.decode(), at.timestamp(), is_current)
            if not host:
                return Signed(self._without_time.unsign(cookie).decode(), None, is_current=False)
        except (BadSignature, UnicodeDecodeError):
            pass
        return None


def _salt(host: bool) -> str:
    return _HOST + COOKIE if host else COOKIE


def sent_cookies(connection: HTTPConnection, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """All cookies with these names, in the order of the request."""
    for line in connection.headers.getlist("cookie"):
        for pair in line.split(";"):
            if pair.partition("=")[0].strip() in names:
                yield from cookie_parser(pair).items()


def path_of(connection: HTTPConnection) -> str:
    """The path of the cookie: the base path, or `/`."""
    return connection.scope.get("root_path") or "/"


def cookie_line(connection: HTTPConnection, name: str, value: str, seconds: int) -> str:
    """A `Set-Cookie` header.

    Args:
        connection: the request that is answered.
        name: of the cookie.
        value: what `CookieSigner.sign` returned.
        seconds: how long the browser keeps it; 0 deletes it.
    """
    is_secure = connection.url.scheme == "https"
    same_site = "None" if name.endswith(_CROSS_SITE) else "Lax"
    ending = "; Secure" if is_secure else ""
    attributes = f"Max-Age={seconds}; HttpOnly; SameSite={same_site}{ending}"
    return f"{name}={value}; Path={path_of(connection)}; {attributes}"
