"""Requests that the OpenAPI document makes, and the judgement of what comes back."""

from __future__ import annotations

import json
from typing import Any, cast

import requests
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema

from durable_llm_streams.runs import Worker
from durable_llm_streams.server import create_app
from durable_llm_streams.store import Store
from tests.app import CONFIG
from tests.fuzz.asgi import Header, Served

_BASE = "http://127.0.0.1:8000"
_LONGEST_TITLE = 200

#: Operations whose requests have rules beyond their schemas: the last message must be a user's and
#: say something; a page's token is one that the store gave.
_MORE_RULES = {"POST /api/chat", "GET /api/chats"}


def document() -> dict[str, Any]:
    """The description; it is the same for every store and worker."""
    app = create_app(cast("Store", None), cast("Worker", None), CONFIG, ui=None)
    return app.openapi()


def schema() -> BaseSchema:
    """The description, as something that makes requests."""
    return schemathesis.openapi.from_dict(document())


class Visitor:
    """Sends cases as one visitor, who is known again by the cookie of his first answer."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._cookie = ""

    def exchange(self, case: schemathesis.Case[Any], *, leave: bool = False) -> Response:
        """Send what a case says. Args: as for `Served.send`."""
        request = requests.Request(**case.as_transport_kwargs(_BASE)).prepare()
        if self._cookie:
            request.headers.setdefault("cookie", self._cookie)
        headers = [_header(name, value) for name, value in request.headers.items()]
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        assert isinstance(body, bytes)
        assert request.method is not None
        answer = self._served.send(request.method, request.path_url, headers, body, leave=leave)
        if "set-cookie" in answer.headers and not self._cookie:
            self._cookie = answer.headers["set-cookie"].partition(";")[0]
        given = {name: [value] for name, value in answer.headers.items()}
        return Response(answer.status, given, answer.body, request, 0.0, verify=False)

    def delete_all(self) -> None:
        """Leave nothing: the ids of this visitor's chats are free again."""
        headers = [(b"cookie", self._cookie.encode())]
        while chats := json.loads(self._served.send("GET", "/api/chats", headers).body)["chats"]:
            for chat in chats:
                self._served.send("DELETE", f"/api/chats/{chat['id']}", headers)


def _header(name: str | bytes, value: str | bytes) -> Header:
    def raw(text: str | bytes) -> bytes:
        return text if isinstance(text, bytes) else text.encode("latin-1")

    return raw(name).lower(), raw(value)


def judge(case: schemathesis.Case[Any], response: Response) -> None:
    """All checks, but those of what schemas cannot tell; and every status has its description."""
    left_out = set()
    is_gone = response.status_code == 410  # a cursor by its form, but not this store's
    if is_gone or case.operation.label in _MORE_RULES or _is_damaged(case):
        left_out.add("positive_data_acceptance")
    if _is_long_by_white_space(case):
        left_out.add("negative_data_rejection")
    names = [name for name in CHECKS.get_all_names() if name not in left_out]
    checks: list[Any] = CHECKS.get_by_names(names)
    case.validate_response(response, checks=checks)
    described = set(case.operation.responses.status_codes)
    assert str(response.status_code) in described or response.status_code == 405


def _is_damaged(case: schemathesis.Case[Any]) -> bool:
    """Whether something in a case is not as the schemas want it, whatever the case is called."""
    parts = case.meta.components.values() if case.meta else ()
    return any(part.mode is schemathesis.GenerationMode.NEGATIVE for part in parts)


def _is_long_by_white_space(case: schemathesis.Case[Any]) -> bool:
    """A title that is only too long before its white space is joined."""
    title = case.body.get("title") if isinstance(case.body, dict) else None
    return isinstance(title, str) and len(" ".join(title.split())) <= _LONGEST_TITLE < len(title)
