"""The OpenAPI document and the application agree on every request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema

from durable_llm_streams.runs import Worker
from durable_llm_streams.server import create_app
from durable_llm_streams.store import Store
from tests.app import CONFIG
from tests.fuzz.asgi import Served, serving

pytestmark = pytest.mark.promise("foreign-bytes")

_HOST = "127.0.0.1:8000"
_BASE = f"http://{_HOST}"
_SIGN_OUT = "POST /api/visitor/sign-out"
_LONGEST_TITLE = 200

#: Operations whose requests have rules beyond their schemas: the last message must be a user's and
#: say something; a page's token is one that the store gave.
_MORE_RULES = {"POST /api/chat", "GET /api/chats"}


def schema() -> BaseSchema:
    """The description, as something that makes requests; it is the same for every store."""
    app = create_app(cast("Store", None), cast("Worker", None), CONFIG, ui=None)
    return schemathesis.openapi.from_dict(app.openapi())


SCHEMA = schema()

# Fresh requests each time, on every machine; see test_targets.
_SETTINGS = settings(
    derandomize=False,
    max_examples=20,
    stateful_step_count=12,
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


class Visitor:
    """Sends cases as one visitor, identified by the cookie of the first answer."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._cookie = ""

    def exchange(self, case: schemathesis.Case[Any], *, leave: bool = False) -> Response:
        """Send what a case says, as by `Served.send`, and judge the answer."""
        request = requests.Request(**case.as_transport_kwargs(_BASE)).prepare()
        request.headers.setdefault("host", _HOST)
        if case.operation.label == _SIGN_OUT:
            self._cookie = ""  # each time a new visitor, so that every example meets the same state
        if self._cookie:
            request.headers.setdefault("cookie", self._cookie)
        headers = [(_raw(name).lower(), _raw(value)) for name, value in request.headers.items()]
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        assert isinstance(body, bytes)
        assert request.method is not None
        answer = self._served.send(request.method, request.path_url, headers, body, leave=leave)
        if "set-cookie" in answer.headers and not self._cookie:
            self._cookie = answer.headers["set-cookie"].partition(";")[0]
        given = {name: [value] for name, value in answer.headers.items()}
        response = Response(answer.status, given, answer.body, request, 0.0, verify=False)
        judge(case, response)
        return response

    def delete_all(self) -> None:
        """Leave nothing: the ids of this visitor's chats are free again."""
        headers = [(b"cookie", self._cookie.encode()), (b"host", _HOST.encode())]
        while chats := json.loads(self._served.send("GET", "/api/chats", headers).body)["chats"]:
            for chat in chats:
                self._served.send("DELETE", f"/api/chats/{chat['id']}", headers)


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def judge(case: schemathesis.Case[Any], response: Response) -> None:
    """All checks, but those of what schemas cannot express; every status has its description."""
    left_out = set()
    is_gone = response.status_code == 410  # a cursor by its form, but not this store's
    parts = case.meta.components.values() if case.meta else ()
    damaged = any(part.mode is schemathesis.GenerationMode.NEGATIVE for part in parts)
    if is_gone or case.operation.label in _MORE_RULES or damaged:
        left_out.add("positive_data_acceptance")
    title = case.body.get("title") if isinstance(case.body, dict) else None
    if isinstance(title, str) and len(" ".join(title.split())) <= _LONGEST_TITLE < len(title):
        left_out.add("negative_data_rejection")  # too long only before white space is joined
    names = [name for name in CHECKS.get_all_names() if name not in left_out]
    checks: list[Any] = CHECKS.get_by_names(names)
    case.validate_response(response, checks=checks)
    described = set(case.operation.responses.status_codes)
    assert str(response.status_code) in described or response.status_code == 405


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def visitor(served: Served) -> Visitor:
    return Visitor(served)


@SCHEMA.parametrize()
@_SETTINGS
def test_answers_are_as_described(case: schemathesis.Case[Any], visitor: Visitor) -> None:
    visitor.exchange(case)


def test_every_operation_has_a_name_of_its_own(request: pytest.FixtureRequest) -> None:
    """By equal names, a parallel run would try one operation and report it for all."""
    names = [item.nodeid for item in request.session.items]
    assert len(set(names)) == len(names)


def test_what_links_lead_to_is_as_described() -> None:
    """Send, then do all documented operations on that chat, in any order."""
    valid = schema()
    valid.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE])

    class Links(valid.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.visitor = Visitor(own)

        def teardown(self) -> None:
            self.visitor.delete_all()  # for the next one, everything is as it was for this one

        def before_call(self, case: schemathesis.Case[Any]) -> None:
            if case.operation.label == "POST /api/chat":  # one that is accepted leads further
                assert isinstance(case.body, dict)
                case.body = {**_message("One", "m1"), "id": case.body["id"]}

        def call(self, case: schemathesis.Case[Any], **_: Any) -> Response:
            return self.visitor.exchange(case)

        def validate_response(self, *_: Any, **__: Any) -> None:
            """The exchange has judged it."""

    with serving() as own:  # a store of its own: no other owner has a chat with such an id
        Links.run(settings=_SETTINGS)


def _message(text: str, message_id: str) -> dict[str, Any]:
    message = {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": "story", "message": message}


@pytest.mark.promise("owned")
def test_the_life_of_a_chat_is_as_described(served: Served) -> None:
    owner, stranger = Visitor(served), Visitor(served)
    chat, stream, stop = "/chats/{chat_id}", "/chat/{chat_id}/stream", "/chat/{chat_id}/stop"

    def ask(
        what: str, path: str, by: Visitor = owner, leave: bool = False, **more: Any
    ) -> Response:
        ids = {"chat_id": "story"} if "{" in path else {}
        media = "application/json" if "body" in more else None
        case = SCHEMA[f"/api{path}"][what].Case(path_parameters=ids, media_type=media, **more)
        return by.exchange(case, leave=leave)

    def read(*asked: Any, **more: Any) -> Any:
        return json.loads(ask(*asked, **more).content)

    assert ask("POST", "/chat", body=_message("One", "m1")).status_code == 200
    served.script.hold()
    held = ask("POST", "/chat", body=_message("Two", "m2"), leave=True).headers["x-run-id"][0]
    busy = read("POST", "/chat", body=_message("Three", "m3"))
    assert (busy["status"], busy["run"]) == (409, held)
    run = read("GET", chat)["active_run"]
    assert ask("GET", stream, query={"after": run["cursor"]}, leave=True).status_code == 200
    assert read("POST", stop) == {"stopped": run["id"]}
    served.script.free()
    rest = ask("GET", stream, headers={"Last-Event-ID": run["cursor"]})
    assert b'"type":"abort"' in rest.content
    assert read("POST", stop) == {"stopped": None}
    assert len(read("GET", chat)["messages"]) == 4
    assert ask("PATCH", chat, body={"title": "Renamed"}).status_code == 200
    listed = read("GET", "/chats", query={"q": "rename"})["chats"]
    assert [row["title"] for row in listed] == ["Renamed"]
    after = {"query": {"after": run["cursor"]}}
    calls: list[tuple[str, str, Visitor, Any, int]] = [
        ("GET", stream, owner, {}, 204),
        ("GET", chat, stranger, {}, 404),
        ("POST", stop, stranger, {}, 404),
        ("DELETE", chat, stranger, {}, 404),
        ("GET", stream, stranger, {}, 204),  # as for a chat that is not there
        ("DELETE", chat, owner, {}, 204),
        ("GET", chat, owner, {}, 404),
        ("GET", stream, owner, after, 404),
    ]
    for what, path, by, more, status in calls:
        assert ask(what, path, by, **more).status_code == status, (what, path, by is owner)
