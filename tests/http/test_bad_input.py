"""Any input: a helpful problem document, never a trace, and the server keeps working."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from tests.app import JSON, App, Guest, Reading, user
from tests.waiting import until, within

pytestmark = pytest.mark.promise("foreign-bytes")

JSON_TYPE = {"Content-Type": "application/json"}
BAD_IDS = ["", "a/b", "..", ".", "-x", "a b", "a\0b", "😀", "é", "x" * 129, "x" * 1000, "a\nb", "%"]

JSON_HEADERS = b"Host: x\r\nContent-Type: application/json\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
BROKEN = [
    b"POST /api/chat HTTP/1.1\r\n" + JSON_HEADERS + b"Content-Length: 100\r\n\r\n{",
    b"POST /api/chat HTTP/1.1\r\n" + JSON_HEADERS + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"PATCH /api/chats/c1 HTTP/1.1\r\n" + JSON_HEADERS + b"Content-Length: 9\r\n\r\n",
    b"GET /api/chats HTTP/1.1\r\nHost:",
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: a\xff\x00b\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/chat/c1/stream HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n",
]
NOWHERE = {
    405: [
        "GET /api/chat", "HEAD /api/chats", "PUT /api/chats/c1", "GET /api/chat/c1/stop",
        "POST /api/chat/c1/stream", "PUT /healthz",
    ],
    404: [
        "GET /nothing", "GET /api", "GET /api/chats/", "GET /api/chat/c1", "GET /api/chats/c1/x/y",
        "GET /api/chats/none", "GET /api/chats/none?leaf=m1", "POST /api/chat/none/stop",
        "GET /api/chat/none/stream?after=run.00000001.abcd", "DELETE /api/chats/none",
    ],
    400: [
        "GET /api/chats?limit=0", "GET /api/chats?limit=101", "GET /api/chats?limit=abc",
        "GET /api/chats?limit=" + "9" * 4000, "GET /api/chats?limit=%00",
        "GET /api/chats?before=x", "GET /api/chats?before=" + "9" * 30 + "-1",
        "GET /api/chats?before=%D9%A1-%D9%A1", "GET /api/chats?q=" + "x" * 201,
        "GET /api/chat/none/stream?after=none", "GET /api/chats/none?leaf=%00",
    ],
}  # fmt: skip
ALLOWED = {
    "/api/chat": "POST", "/api/chats": "GET", "/api/chats/c1": "DELETE, GET, PATCH",
    "/api/chat/c1/stop": "POST", "/api/chat/c1/stream": "GET", "/healthz": "GET, HEAD",
}  # fmt: skip

TEXT = {"type": "text", "text": "Hi"}


def sending(*parts: Any, role: str = "user", **more: Any) -> JSON:
    return {"id": "c1", "message": {"id": "m1", "role": role, "parts": list(parts)}, **more}


#: Bodies, by a part of the sentence about them.
REFUSED: dict[str, list[bytes | JSON]] = {
    "not JSON": [
        b"", b"{", b"NaN", b"\xff\xfe\x00", b'{"id":"c\xff"}', b'{"id":"c1"} trailing',
        b'{"id":"c1","message":' + b"[" * 100_000, b'{"id":"c1","x":' + b'{"a":' * 100_000,
    ],
    "The body is invalid": [
        b"null", b"7", b"[" * 100_000, b'{"id":1e999}', b'{"id":' + b"9" * 5000 + b"}",
        b'{"id":"c1","trigger":"resume-stream"}', b'{"id":"c1","trigger":null,"messages":[]}',
        b'{"id":"c1","messages":{"0":"Hi"}}',
    ],
    "The message is invalid": [
        b'{"id":"c1","messages":["Hi"]}', b'{"id":"c1","messages":null,"message":null}',
        b'{"id":"c1","message":{"id":"m1","role":"user","content":"Hi"}}',
        b'{"id":"c1","message":{"role":"user","parts":[{"type":"text","text":"Hi"}]}}',
        b'{"id":"c1","trigger":"regenerate-message","messages":[7]}',
    ],
    "There is no message": [b'{"id":"c1"}', b'{"id":"c1","messages":[]}'],
    "The chat id is invalid": [b'{"id":"\\ud800"}'],
    "The message is empty": [
        sending(), *(sending({**TEXT, "text": text}) for text in ("", "\n\t\r\n", "\u3000\u2028")),
    ],
    "Only text can be sent": [
        sending({"type": "text"}),
        *(sending(TEXT, {"type": kind, "url": "data:,"}) for kind in ("file", "x" * 1000)),
    ],
    "the role `user`": [sending(TEXT, role=role) for role in ("assistant", "User", "", "x" * 9999)],
    "longer than 262144 bytes": [sending({**TEXT, "text": "é" * (128 * 1024) + "x"})],
    "GET /api/models": [sending(TEXT, model="gpt-17")],
}  # fmt: skip


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    """A visitor who can still chat when the test is over."""
    async with app.guest() as guest:
        yield guest
        reading = await guest.send("Are you still there?", chat="afterwards")
        assert reading.text == "Hello, world."


def assert_problem(reading: Reading, *statuses: int) -> None:
    """A problem document (RFC 9457) with a sentence that reveals no internals."""
    assert reading.status in statuses, reading.raw
    assert reading.headers["content-type"] == "application/problem+json"
    document = reading.json
    assert set(document) - {"run"} == {"type", "title", "status", "detail"}
    assert document["status"] == reading.status
    assert document["type"].startswith("urn:durable-llm-streams:")
    assert document["detail"][-1] in ".:"
    assert len(document["detail"]) < 1000
    assert "Traceback" not in document["detail"]


async def as_is(guest: Guest, method: str, path: str, **options: Any) -> Reading:
    """A request whose address the client does not tidy up."""
    url = URL(guest.url + path, encoded=True)
    async with guest.session.request(method, url, **options) as response:
        return Reading(response.status, response.headers, await response.read())


async def raw(guest: Guest, data: bytes, method: str = "POST", path: str = "/api/chat") -> Reading:
    return await guest.call(method, path, data=io.BytesIO(data), headers=JSON_TYPE)


@pytest.mark.parametrize("sentence", REFUSED)
async def test_a_body_that_cannot_be_a_message_is_refused(
    app: App, guest: Guest, sentence: str
) -> None:
    for body in REFUSED[sentence]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        reading = await raw(guest, data)
        assert_problem(reading, 400)
        assert sentence in reading.json["detail"], data[:100]
    assert app.script.prompts == []
    assert (await guest.get("/api/chats/c1")).status == 404


@pytest.mark.parametrize(
    "field",
    [
        *("id", "trigger", "messages", "message", "messageId", "parentId", "model"),
        *("message.id", "message.role", "message.parts", "part.type", "part.text"),
    ],
)
async def test_a_field_of_the_wrong_type_is_refused(guest: Guest, field: str) -> None:
    place, _, name = field.rpartition(".")
    wrong: object
    for wrong in (None, True, 7, 1.5, [], {}, ["x"], {"x": 1}):
        message = user("m1", "Hi")
        body = {"id": "c1", "messages": [message]}
        {"": body, "message": message, "part": message["parts"][0]}[place][name] = wrong
        reading = await guest.post(body)
        if wrong is None and field in ("message", "messageId", "parentId", "model"):
            assert reading.status == 200, field
        else:
            assert_problem(reading, 400)


async def test_a_body_beyond_the_limit_is_refused_however_it_is_sent(guest: Guest) -> None:
    big = b'{"id":"' + b"x" * 9_000_000 + b'"}'
    assert_problem(await raw(guest, big), 413)

    async def chunked() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1 << 20):
            yield big[start : start + (1 << 20)]

    reading = await guest.call("POST", "/api/chat", data=chunked(), headers=JSON_TYPE)
    assert_problem(reading, 413)
    assert_problem(await raw(guest, big, "PATCH", "/api/chats/c1"), 413)


async def test_an_id_that_cannot_be_one_is_refused_in_a_body(guest: Guest) -> None:
    await guest.send("Hi", message_id="q1")
    for bad in BAD_IDS:
        assert_problem(await guest.send(chat=bad), 400)
        assert_problem(await guest.post({"id": "c1", "message": user(bad, "Hi")}), 400)
        again = {"id": "c1", "trigger": "regenerate-message", "messageId": bad}
        if bad:
            assert_problem(await guest.post(again), 400, 404)
        assert_problem(await guest.post({**guest.body("x"), "messageId": bad}), 400, 404)
        assert (await guest.post({**guest.body("x"), "parentId": bad})).status == 200


async def test_an_id_that_cannot_be_one_is_refused_in_a_path(guest: Guest) -> None:
    for bad in [*BAD_IDS[1:], "../../etc/passwd", "x" * 20_000]:
        for method, path in (
            ("GET", "/api/chats/@"), ("PATCH", "/api/chats/@"), ("DELETE", "/api/chats/@"),
            ("GET", "/api/chat/@/stream"), ("POST", "/api/chat/@/stop"),
        ):  # fmt: skip
            body = {"json": {"title": "x"}} if method == "PATCH" else {}
            escaped = path.replace("@", quote(bad, safe=""))
            assert_problem(await as_is(guest, method, escaped, **body), 400, 404, 405)


async def test_half_a_surrogate_pair_in_a_message_costs_one_mark(guest: Guest) -> None:
    part = rb'[{"type":"text","text":"\ud83d\ude00 \\ud83d cut \ud83d"}]'
    message = b'{"id":"m1","role":"user","parts":' + part + b"}"
    history = rb'{"id":"a0","role":"assistant","parts":[{"type":"text","text":"\udc00"}]}'
    for body in (b'"message":' + message, b'"messages":[' + history + b"," + message + b"]"):
        chat = f"c{len(body)}"
        reading = await raw(guest, b'{"id":"' + chat.encode() + b'",' + body + b"}")
        assert reading.status == 200, reading.raw
        assert (await guest.said(chat))[0] == ("user", "😀 \\ud83d cut \ufffd")


async def test_a_body_that_is_not_declared_as_json_is_refused(guest: Guest) -> None:
    data = json.dumps(guest.body("Hi")).encode()
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/x", "json"):
        reading = await guest.call("POST", "/api/chat", data=data, headers={"Content-Type": kind})
        assert_problem(reading, 415)
    skipped = await guest.call("POST", "/api/chat", data=data, skip_auto_headers=["Content-Type"])
    assert_problem(skipped, 415)
    parameters = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await guest.call("POST", "/api/chat", data=data, headers=parameters)).status == 200


@pytest.mark.parametrize("status", NOWHERE)
async def test_a_request_that_leads_nowhere(guest: Guest, status: int) -> None:
    for request in NOWHERE[status]:
        method, path = request.split()
        reading = await guest.call(method, path)
        assert reading.status == status, request
        if method != "HEAD":
            assert_problem(reading, status)
        allowed = ALLOWED[path] if status == 405 else None
        assert reading.headers.get("allow") == allowed, request
    for path, detail in (
        ("/nothing", "There is nothing at this address."), ("/api/chats?limit=x", "`limit`: "),
        ("/api/chat", "This address does not accept this method."),
        ("/api/chats?limit=0", "`limit` must be "),
    ):  # fmt: skip
        assert (await guest.get(path)).json["detail"].startswith(detail)


async def test_a_title_that_cannot_be_one_is_refused(guest: Guest) -> None:
    await guest.send("As it was")
    title: object
    for title in ("", " ", "\n", "x" * 201, None, 7, [], {}, True):
        assert_problem(await guest.call("PATCH", "/api/chats/c1", json={"title": title}), 400)
    nested = b'{"title":"a","x":' + b"[" * 99_999
    for data in (b"", b"{}", b"[", b"\xff", b'{"title":"\\ud800"}', nested):
        assert_problem(await raw(guest, data, "PATCH", "/api/chats/c1"), 400)
    assert (await guest.chat())["title"] == "As it was"


async def test_text_that_is_no_utf_8_in_addresses_and_headers_is_no_error(guest: Guest) -> None:
    await guest.send()
    assert (await guest.get("/api/chats?q=%FF%FE")).json["chats"] == []
    for path in ("/api/chat/c1/stream?after=%FF", "/api/chats/c1?leaf=%ED%A0%80"):
        assert_problem(await as_is(guest, "GET", path), 400)
    headers = {"Idempotency-Key": "é", "Cookie": "\udcff\udcfe=\udcff"}
    assert_problem(await guest.get("/api/chat/c1/stream", headers={"Last-Event-ID": "é😀"}), 400)
    assert (await guest.post(guest.body("Hi", chat="c2"), headers=headers)).status == 200


@pytest.mark.parametrize("request_", BROKEN)
async def test_a_client_that_breaks_off_or_speaks_nonsense_leaves_no_trace(
    app: App, guest: Guest, request_: bytes
) -> None:
    async with within("an answer beside a broken request"):
        _, writer = await asyncio.open_connection(*app.address)
        writer.write(request_)
        await writer.drain()
        assert (await guest.get("/healthz")).status == 200
        writer.close()
        await writer.wait_closed()
        await guest.get("/healthz")
    await until(lambda: len(app.server.server_state.connections) <= 1)


async def test_an_internal_error_reveals_no_details(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app.store.chats, "page", broken)
    reading = await guest.get("/api/chats")
    assert_problem(reading, 500)
    assert b"secret" not in reading.raw
    assert any("secret" in line for line in app.errors)
    app.errors.clear()
