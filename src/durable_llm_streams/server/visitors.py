"""Anonymous visitors: each browser is one, and has a signed cookie."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from starlette.requests import HTTPConnection

from .cookies import COOKIE_SECONDS, CookieSigner, Names, cookie_line, sent_cookies
from .principal import Principal
from .sign_outs import SignOuts

_RENEW_SECONDS: Final = 7 * 24 * 3600


class _Known(NamedTuple):
    """The owner of a valid cookie.

    Attributes:
        owner: the visitor.
        at: when it was signed, in seconds.
        is_fresh: whether it is too new to be renewed.
    """

    owner: str
    at: float
    is_fresh: bool


class Visitors:
    """Identifies anonymous visitors by their cookies; an `Authenticate` hook.

    The cookie is HttpOnly and SameSite=Lax, and Secure over https. Its path is the base path. It is
    valid for `age` seconds, which the server checks, and renewed once a week at most, so it does
    not expire for visitors who come back. A cookie that was not signed here is ignored.

    Args:
        secret: the store's key; the same for all servers of a store.
        keys: the operator's keys; the first one signs, all of them verify.
        now: the time, in seconds since 1970 UTC.
        cross_site: whether pages of other sites send the cookie too. Over https it is then
            SameSite=None and has a second name, so that the cookie with the first name is kept.
        age: how long a cookie is valid, in seconds.
        since: when this version first served the store, in seconds: cookies without a time count
            as signed then. None: they do not age.
        sign_outs: who signed out; None if nobody can.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        keys: Sequence[bytes] = (),
        now: Callable[[], float] = time.time,
        cross_site: bool = False,
        age: float = COOKIE_SECONDS,
        since: float | None = None,
        sign_outs: SignOuts | None = None,
    ) -> None:
        self.sign_outs = sign_outs
        self._signer = CookieSigner(secret, keys, now)
        self._names = Names.of(secret)
        self._now = now
        self._cross_site = cross_site
        self._age = age
        self._since = since

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """The visitor of a request; a new one if there is no valid cookie.

        Raises:
            StoreUnavailable: it is not known whether the visitor signed out.
        """
        name = self._names.chosen(connection, self._cross_site)
        found = await self._found(connection)
        owners = [found[each].owner for each in self._names.all if each in found]
        owner = owners[0] if owners else f"visitor-{secrets.token_urlsafe(18)}"
        at = min((each.at for each in found.values() if each.owner == owner), default=self._now())
        connection.state.signed_at = at  # for streams, which end at a later sign-out
        stays = name in found and (found[name].is_fresh or found[name].owner != owner)
        if stays:
            return Principal(owner, "visitor")
        headers = {"set-cookie": self._line(connection, name, owner)}
        return Principal(owner, "visitor", headers=headers, is_new=not owners)

    def hand_on(self, connection: HTTPConnection, owner: str) -> list[str]:
        """The `Set-Cookie` headers that make a browser's visitor another one."""
        name = self._names.chosen(connection, self._cross_site)
        others = [line for line in self.removed(connection) if not line.startswith(f"{name}=")]
        return [*others, self._line(connection, name, owner)]

    def removed(self, connection: HTTPConnection) -> list[str]:
        """The `Set-Cookie` headers that delete the cookies of a request which are ours."""
        found = {
            name
            for name, value in sent_cookies(connection, self._names.all)
            if self._signer.read(value, name) is not None
        }
        return [cookie_line(connection, name, "", 0) for name in self._names.all if name in found]

    def _line(self, connection: HTTPConnection, name: str, owner: str) -> str:
        return cookie_line(connection, name, self._signer.sign(owner, name), int(self._age))

    async def _found(self, connection: HTTPConnection) -> dict[str, _Known]:
        found: dict[str, _Known] = {}
        for name, value in sent_cookies(connection, self._names.all):
            known = await self._known(value, name)
            if known is not None:
                found.setdefault(name, known)  # the first one is that of the longest path
        return found

    async def _known(self, cookie: str, name: str) -> _Known | None:
        signed = self._signer.read(cookie, name)
        if signed is None:
            return None
        now = self._now()
        aged_from = self._since if signed.at is None else signed.at
        if aged_from is not None and now - aged_from > self._age:
            return None
        at = signed.at or 0.0
        if self.sign_outs is not None:
            not_before = await self.sign_outs.not_before(signed.owner)
            if not_before and at <= not_before:
                return None
        is_fresh = signed.is_current and abs(now - at) < _RENEW_SECONDS
        return _Known(signed.owner, at, is_fresh)
