"""Who asks: everybody but the owner, and all who claim to be the owner and are not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection

from durable_llm_streams.server import Authenticate, Principal
from durable_llm_streams.server.cookies import (
    COOKIE,
    COOKIE_SECONDS,
    CookieSigner,
    cookie_name,
)
from durable_llm_streams.server.principal import PrincipalKind

SECRET = b"the secret of the matrix's store"
Headers = Mapping[str, str]

_HOOK = "x-hook"


def by_cookie_or_hook(visitors: Authenticate) -> Authenticate:
    """Visitors have their cookies; a request that names a hook is identified by that one."""

    async def authenticate(connection: HTTPConnection) -> Principal:
        name = connection.headers.get(_HOOK)
        if name is None:
            return await visitors(connection)
        owner = connection.headers["x-owner"]
        made: Principal = HOOKS[name](owner)
        return made

    return authenticate


def _kind(kind: PrincipalKind, tenant: str | None = None) -> Callable[[str], Principal]:
    return lambda owner: Principal(owner, kind, tenant)


#: What a hook makes of the owner's name: another principal, or none at all.
HOOKS: dict[str, Callable[[str], Any]] = {
    "another": lambda _: Principal("another"),
    "upper": lambda owner: Principal(owner.upper()),
    "with-space": lambda owner: Principal(f"{owner} "),
    "with-slash": lambda owner: Principal(f"{owner}/plug"),
    "cut": lambda owner: Principal(owner[:-1]),
    "any": lambda _: Principal("*"),
    "tenant": _kind("hook", "acme"),
    "visitor-of-tenant": _kind("visitor", "acme"),
    "token": _kind("token"),
    "jwt": _kind("jwt"),
    "proxy": _kind("proxy", "acme"),
    "none": lambda _: None,
    "text": lambda owner: owner,
    "no-name": lambda _: Principal(""),
    "null-name": lambda _: Principal(None),  # type: ignore[arg-type]
    "long": lambda owner: Principal(owner * 1000),
    "nul": lambda owner: Principal(f"{owner}\0"),
}


def _cookie(value: str, name: str = "") -> Headers:
    return {"cookie": f"{name or cookie_name(SECRET)}={value}"}


def strangers(owner: str, cookie: str, another: str) -> dict[str, Headers]:
    """Everybody who is not the owner.

    Args:
        owner: of the chats.
        cookie: the owner's.
        another: the cookie of another visitor, who has a chat of the same id.
    """
    stamp = another.partition(".")[2]
    name = cookie_name(SECRET)
    foreign = CookieSigner(b"of another store" * 2, [], time.time).sign(owner, name)
    long_ago = time.time() - COOKIE_SECONDS - 60
    expired = CookieSigner(SECRET, [], lambda: long_ago).sign(owner, name)
    return {
        "another visitor": _cookie(another),
        "nobody": {},
        "nobody, with the owner's name in headers": {
            "x-user": owner,
            "x-forwarded-user": owner,
            "remote-user": owner,
            "authorization": f"Bearer {owner}",
            "x-owner": owner,
        },
        "forged: the owner's cookie, one character changed": _cookie(
            cookie[:-2] + ("A" if cookie[-2] != "A" else "B") + cookie[-1]  # its bits all count
        ),
        "forged: the owner's name alone": _cookie(owner),
        "forged: with another's signature": _cookie(f"{owner}.{stamp}"),
        "forged: signed by another store": _cookie(foreign),
        "an expired cookie": _cookie(expired),
        "forged: by the earlier name": _cookie(f"{owner}.{stamp}", COOKIE),
        "an empty cookie": _cookie(""),
        **{f"hook: {name}": {_HOOK: name, "x-owner": owner} for name in HOOKS},
    }
