"""`GET /api/visitor`: whether a client sends its cookie back."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from . import description
from .problems import described
from .requests import json_response
from .state import app_state

router = APIRouter(tags=["visitors"])


@router.get(
    "/api/visitor",
    operation_id="get_visitor",
    response_class=Response,
    responses=description.VISITOR | described(401),
)
async def get_visitor(request: Request) -> Response:
    """Whether this request identified its visitor. If not, the answer sets a cookie.

    A client that asks twice and is unknown both times loses its cookies, and with them its chats.
    """
    principal = await app_state(request).principal(request)
    return json_response({"known": not principal.is_new}, principal)
