"""Principals: a name that is missing or broken identifies nobody, and opens nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from durable_llm_streams.errors import ChatNotFound, StoreUnavailable
from durable_llm_streams.server import Principal, Unauthenticated
from durable_llm_streams.server.principal import (
    MAX_OWNER_LENGTH,
    InvalidPrincipal,
    PrincipalKind,
)
from tests.app import App, running_app
from tests.http.conftest import app_with

KINDS: tuple[PrincipalKind, ...] = get_args(PrincipalKind)

#: What a broken hook may take for a name, with a part of the sentence that refuses it.
NO_NAMES: dict[str, tuple[Any, str]] = {
    "none": (None, "must be a str"),
    "number": (7, "must be a str"),
    "bytes": (b"ann", "must be a str"),
    "empty": ("", "empty"),
    "spaces": ("  ", "empty"),
    "long": ("a" * 10_000, "10000 characters"),
    "one-too-long": ("a" * (MAX_OWNER_LENGTH + 1), "201 characters"),
    "line-feed": ("ann\nERROR", "printable"),
    "nul": ("ann\0", "printable"),
    "right-to-left": ("ann\u202e", "printable"),
    "surrogate": ("ann\ud800", "printable"),
    "reserved": ("~token:ci", "begin with"),
}


@pytest.mark.promise("owned")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "said"), NO_NAMES.values(), ids=NO_NAMES)
def test_what_is_no_name_makes_no_principal(name: Any, said: str, kind: PrincipalKind) -> None:
    with pytest.raises(InvalidPrincipal, match=said):
        Principal(name, kind)


@pytest.mark.parametrize("tenant", ["", "a/b", "a:b", "~a", "-a", "a" * 65, "a\n"])
def test_a_tenant_is_a_short_word(tenant: Any) -> None:
    with pytest.raises(InvalidPrincipal, match="A tenant must have 1 to 64 letters"):
        Principal("ann", tenant=tenant)


def test_a_kind_is_one_that_the_server_knows() -> None:
    for kind in ("operator", "", None, {"x-greeting": "ann"}):
        with pytest.raises(InvalidPrincipal, match="kind must be one of"):
            Principal("ann", cast("PrincipalKind", kind))


@pytest.mark.promise("owned")
def test_visitors_and_the_users_of_a_hook_keep_the_owners_that_they_had() -> None:
    assert Principal("visitor-7Kd", "visitor").owner == "visitor-7Kd"
    for name in ("ann", "auth0|63", "Zoë Ω", "a/b:c", "token:ci", "a" * MAX_OWNER_LENGTH):
        assert Principal(name).owner == name


@pytest.mark.promise("owned")
def test_no_principal_has_the_owner_of_another() -> None:
    names = ("ann", "token:ann", "acme/token:ann", "token:token:ann", "a~b")
    owners = [
        Principal(name, kind, tenant).owner
        for name in names
        for tenant in (None, "acme", "token", "hook")
        for kind in KINDS
        if kind != "visitor" or tenant is not None  # a cookie's name is one that we drew
    ]
    assert len(set(owners)) == len(owners) == len(names) * 19
    assert Principal("ci", "token").owner == "~token:ci"
    assert Principal("ann", tenant="acme").owner == "~acme/hook:ann"


Hook = Callable[[HTTPConnection], Awaitable[Any]]


def _named(name: Any) -> Hook:
    async def hook(_: HTTPConnection) -> Principal:
        return Principal(name)

    return hook


def _returning(make: Callable[[], Any]) -> Hook:
    async def hook(_: HTTPConnection) -> Any:
        return make()

    return hook


def _raising(error: BaseException) -> Hook:
    async def hook(_: HTTPConnection) -> Principal:
        raise error

    return hook


async def _later() -> Principal:
    return Principal("ann")


def _at_once(_: HTTPConnection) -> Any:
    return Principal("ann")


_BROKEN: dict[str, Hook] = {
    **{f"named-{id_}": _named(name) for id_, (name, _) in NO_NAMES.items()},
    "returns-none": _returning(lambda: None),
    "returns-text": _returning(lambda: "ann"),
    "returns-pair": _returning(lambda: ("ann", {})),
    "returns-coroutine": _returning(_later),
    "is-no-coroutine": _at_once,
    "raises-key-error": _raising(KeyError("sub")),
    "raises-not-found": _raising(ChatNotFound()),
    "raises-timeout": _raising(TimeoutError()),
}
_ROUTES = (
    ("GET", "/api/visitor"), ("GET", "/api/models"), ("GET", "/api/chats"),
    ("GET", "/api/chats/c1"), ("GET", "/api/events"), ("GET", "/api/chat/c1/stream"),
    ("POST", "/api/chat"), ("POST", "/api/chat/c1/stop"), ("PATCH", "/api/chats/c1"),
    ("DELETE", "/api/chats/c1"),
)  # fmt: skip


async def by_header(connection: HTTPConnection) -> Principal:
    """A hook that is broken as the request asks."""
    broken = connection.headers.get("x-broken")
    if broken is None:
        return Principal("ann")
    found: Principal = await _BROKEN[broken](connection)
    return found


@pytest.mark.promise("owned")
@app_with(authenticate=by_header)
async def test_a_broken_hook_opens_nothing_and_the_log_says_so(app: App) -> None:
    async with app.guest() as ann:
        sent = await ann.send("Hello", chat="c1", message_id="m1")
        before = (await ann.get("/api/chats/c1")).json
        app.errors.clear()
        for name in _BROKEN:
            async with app.guest(headers={"x-broken": name}) as guest:
                for method, path in _ROUTES:
                    body = guest.body("Two", chat="c1") if path == "/api/chat" else {"title": "x"}
                    refused = await guest.call(method, path, json=body)
                    assert refused.status == 500, (name, path)
                    assert refused.json["type"].endswith(":internal"), (name, path)
                    assert "Its log says why." in refused.json["detail"]
                    assert any("Nobody was identified" in line for line in app.errors), name
                    app.errors.clear()
        assert (await ann.get("/api/chats/c1")).json == before
        assert len((await ann.get("/api/chats")).json["chats"]) == 1
        assert sent.done


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthenticated("Sign in first."), 401),
        (HTTPException(403, "Not you."), 403),
        (StoreUnavailable("The table of users does not answer."), 503),
    ],
    ids=["unauthenticated", "http-exception", "store-unavailable"],
)
async def test_a_hook_may_refuse_in_these_ways(
    error: Exception, status: int, tmp_path: Path
) -> None:
    async with running_app(tmp_path, authenticate=_raising(error)) as app, app.guest() as guest:
        assert (await guest.get("/api/chats")).status == status
        app.errors.clear()
