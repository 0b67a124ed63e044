"""The OpenAPI document and the application say the same, whatever is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.transport import Response

from tests.fuzz.asgi import Served, serving
from tests.fuzz.openapi import Visitor, judge, schema

pytestmark = pytest.mark.promise("foreign-bytes")

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
    judge(case, visitor.exchange(case))


def test_every_operation_has_a_name_of_its_own(request: pytest.FixtureRequest) -> None:
    """By equal names, a parallel run would try one operation and tell of all."""
    names = [item.nodeid for item in request.session.items]
    assert len(set(names)) == len(names)


def test_what_links_lead_to_is_as_described() -> None:
    """Send, then whatever the description says can be done in that chat, in any order."""

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

        def validate_response(
            self, response: Response, case: schemathesis.Case[Any], *_: Any, **__: Any
        ) -> None:
            judge(case, response)

    with serving() as own:  # a store of its own: nobody else has a chat with such an id
        Links.run(settings=_SETTINGS)


class _Story:
    """Chosen calls, each answer judged by the description."""

    def __init__(self, served: Served) -> None:
        self._visitor = Visitor(served)

    def __call__(
        self, method: str, path: str, chat: str | None = None, *, leave: bool = False, **more: Any
    ) -> Response:
        case = SCHEMA[path][method].Case(
            path_parameters={} if chat is None else {"chat_id": chat},
            media_type="application/json" if "body" in more else None,
            **more,
        )
        response = self._visitor.exchange(case, leave=leave)
        judge(case, response)
        return response


def _message(text: str, message_id: str) -> dict[str, Any]:
    message = {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": "story", "message": message}


@pytest.mark.promise("owned")
def test_the_life_of_a_chat_is_as_described(served: Served) -> None:
    chat, stream, stop = (
        "/api/chats/{chat_id}",
        "/api/chat/{chat_id}/stream",
        "/api/chat/{chat_id}/stop",
    )
    call, stranger = _Story(served), _Story(served)
    assert call("POST", "/api/chat", body=_message("One", "m1")).status_code == 200
    served.script.hold()
    held = call("POST", "/api/chat", body=_message("Two", "m2"), leave=True)
    busy = call("POST", "/api/chat", body=_message("Three", "m3"))
    assert (busy.status_code, json.loads(busy.content)["run"]) == (409, held.headers["x-run-id"][0])
    snapshot = json.loads(call("GET", chat, "story").content)
    cursor = snapshot["active_run"]["cursor"]
    assert call("GET", stream, "story", query={"after": cursor}, leave=True).status_code == 200
    stopped = json.loads(call("POST", stop, "story").content)
    assert stopped == {"stopped": snapshot["active_run"]["id"]}
    served.script.free()
    rest = call("GET", stream, "story", headers={"Last-Event-ID": cursor})
    assert b'"type":"abort"' in rest.content
    assert json.loads(call("POST", stop, "story").content) == {"stopped": None}
    assert call("GET", stream, "story").status_code == 204
    assert len(json.loads(call("GET", chat, "story").content)["messages"]) == 4
    assert call("PATCH", chat, "story", body={"title": "Renamed"}).status_code == 200
    listed = json.loads(call("GET", "/api/chats", query={"q": "rename"}).content)
    assert [row["title"] for row in listed["chats"]] == ["Renamed"]
    for method, path in (("GET", chat), ("POST", stop), ("DELETE", chat)):
        assert stranger(method, path, "story").status_code == 404
    assert stranger("GET", stream, "story").status_code == 204  # as for a chat that is not there
    assert call("DELETE", chat, "story").status_code == 204
    assert call("GET", chat, "story").status_code == 404
    assert call("GET", stream, "story", query={"after": cursor}).status_code == 404


def test_an_address_tells_all_methods_that_it_takes(served: Served) -> None:
    for address, taken in {
        "/api/chats/c1": "DELETE, GET, PATCH",
        "/api/chat": "POST",
        "/healthz": "GET, HEAD",
    }.items():
        answer = served.send("PUT", address)
        assert (answer.status, answer.headers["allow"]) == (405, taken)
