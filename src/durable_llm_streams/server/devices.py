"""Signing out, and continuing on another device."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from durable_llm_streams.errors import InvalidRequest, NotFound
from durable_llm_streams.store import Link

from . import description
from .problems import described
from .requests import decoded, json_response, read_json
from .sign_outs import SignOuts
from .state import AppState, app_state
from .visitors import Visitors

#: Seconds that a link to another device can be used.
LINK_SECONDS: Final = 60

_TOKEN_BYTES: Final = 16
_TOKEN: Final = re.compile(description.LINK_RULE.removesuffix("$").removeprefix("^"))
_MAX_BODY_BYTES: Final = 1024

router = APIRouter(tags=["visitors"])


class NoVisitors(NotFound):
    """The application identifies its users itself, so there is no cookie of ours."""

    sentence = "This server's application signs its users in and out. Do it there."


class LinkNotFound(NotFound):
    """There is no such link: it was used, is too old, was replaced, or never existed."""

    sentence = "This link was used already, or is older than a minute. Make a new one."


class _SignOut(Struct):
    everywhere: bool = False


class _Token(Struct):
    token: str


@router.post(
    "/api/visitor/sign-out",
    operation_id="sign_out",
    status_code=204,
    response_class=Response,
    responses=description.SIGNED_OUT | described(400, 401, 404, 413, 415, 503),
    openapi_extra=description.SIGNING_OUT,
)
async def sign_out(request: Request) -> Response:
    """Forget the visitor in this browser: `{}`; in all of them: `{"everywhere": true}`.

    Without another browser that is still signed in, nobody can open the chats again.
    """
    state = app_state(request)
    visitors, sign_outs = _visitors(state)
    asked = decoded(await read_json(request, _MAX_BODY_BYTES), _SignOut, '{"everywhere": true}')
    principal = await state.principal(request)
    if asked.everywhere and not principal.is_new:
        await sign_outs.sign_out(principal.owner)
        await sign_outs.end_streams(state.streams)
    response = Response(status_code=204)
    for line in visitors.removed(request):
        response.headers.append("set-cookie", line)
    return response


@router.post(
    "/api/visitor/links",
    operation_id="make_link",
    response_class=Response,
    responses=description.LINK | described(401, 404, 503),
)
async def make_link(request: Request) -> Response:
    """A token for `/link#TOKEN`: the browser that opens it continues as this visitor.

    It can be used once, within a minute. A new one replaces it.
    """
    state = app_state(request)
    _, sign_outs = _visitors(state)
    principal = await state.principal(request)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    link = Link(principal.owner, round(sign_outs.now() * 1000))
    await state.store.visitors.keep_link(_digest(token), link, seconds=2 * LINK_SECONDS)
    return json_response({"token": token, "expires_in": LINK_SECONDS}, principal)


@router.post(
    "/api/visitor/links/use",
    operation_id="use_link",
    response_class=Response,
    responses=description.VISITOR | described(400, 401, 404, 413, 415, 503),
    openapi_extra=description.USING_A_LINK,
)
async def use_link(request: Request) -> Response:
    """Continue as the visitor who made a link: `{"token": "…"}`. The answer sets the cookie."""
    state = app_state(request)
    visitors, sign_outs = _visitors(state)
    asked = decoded(await read_json(request, _MAX_BODY_BYTES), _Token, '{"token": "…"}')
    if not _TOKEN.fullmatch(asked.token):
        raise InvalidRequest("`token` must be what follows the `#` of a link: 22 characters.")
    principal = await state.principal(request)
    link = await state.store.visitors.take_link(_digest(asked.token))
    if link is None or sign_outs.now() - link.made_at / 1000 > LINK_SECONDS:
        raise LinkNotFound
    await sign_outs.recheck(link.owner)
    if link.made_at / 1000 <= await sign_outs.not_before(link.owner):
        raise LinkNotFound
    response = json_response({"known": True}, principal)
    del response.headers["set-cookie"]
    for line in visitors.hand_on(request, link.owner):
        response.headers.append("set-cookie", line)
    return response


def _visitors(state: AppState) -> tuple[Visitors, SignOuts]:
    """The visitors of this application. Raises NoVisitors."""
    if state.visitors is None or state.visitors.sign_outs is None:
        raise NoVisitors
    return state.visitors, state.visitors.sign_outs


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
