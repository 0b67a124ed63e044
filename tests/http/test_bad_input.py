"""Whatever is sent: an answer that says what to do, never a trace, and the server goes on."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from tests.app import App, Guest, Reading, assistant, user
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
NOWHERE = [
    ("GET", "/api/chat", 405),
    ("PUT", "/api/chat", 405),
    ("HEAD", "/api/chats", 405),
    ("POST", "/api/chats", 405),
    ("PUT", "/api/chats/c1", 405),
    ("GET", "/api/chat/c1/stop", 405),
    ("POST", "/api/chat/c1/stream", 405),
    ("OPTIONS", "/api/chat", 405),
    ("GET", "/nothing", 404),
    ("GET", "/api", 404),
    ("GET", "/api/chats/", 404),
    ("GET", "/api/chat/c1", 404),
    ("GET", "/api/chats/c1/x/y", 404),
    ("GET", "/api/chats?limit=0", 400),
    ("GET", "/api/chats?limit=-1", 400),
    ("GET", "/api/chats?limit=101", 400),
    ("GET", "/api/chats?limit=abc", 400),
    ("GET", "/api/chats?limit=" + "9" * 4000, 400),
    ("GET", "/api/chats?limit=1e3", 400),
    ("GET", "/api/chats?limit=%00", 400),
    ("GET", "/api/chats?before=x", 400),
    ("GET", "/api/chats?before=" + "9" * 30 + "-1", 400),
    ("GET", "/api/chats?before=%D9%A1-%D9%A1", 400),
    ("GET", "/api/chats?q=" + "x" * 201, 400),
    ("GET", "/api/chats?q=" + "x" * 60_000, 400),
    ("GET", "/api/chats/none", 404),
    ("GET", "/api/chats/none?leaf=m1", 404),
    ("GET", "/api/chat/none/stream?after=none", 400),
    ("GET", "/api/chat/none/stream?after=run.00000001.abcd", 404),
    ("POST", "/api/chat/none/stop", 404),
    ("DELETE", "/api/chats/none", 404),
]


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    """A visitor who can still chat when the test is over."""
    async with app.guest() as guest:
        yield guest
        reading = await guest.send("Are you still there?", chat="afterwards")
        assert reading.text == "Hello, world."


def assert_problem(reading: Reading, *statuses: int) -> None:
    """A problem document (RFC 9457) with a sentence that tells nothing of the inside."""
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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"7",
        b"NaN",
        b'{"id":"c1"}',
        b'{"id":"c1","message":null}',
        b'{"id":"c1","messages":[]}',
        b'{"id":"c1","messages":null,"message":null}',
        b'{"id":"c1","message":{"id":"m1","role":"user","parts":[]}}',
        b'{"id":"c1","message":{"id":"m1","role":"user","parts":null}}',
        b'{"id":"c1","message":{"id":"m1","role":"user","content":"Hi"}}',
        b'{"id":"c1","message":{"role":"user","parts":[{"type":"text","text":"Hi"}]}}',
        b'{"id":"c1","message":"Hi"}',
        b'{"id":"c1","messages":{"0":"Hi"}}',
        b'{"id":"c1","messages":["Hi"]}',
        b'{"id":"c1","trigger":"resume-stream"}',
        b'{"id":"c1","trigger":null,"messages":[]}',
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf{}",
        b'{"id":"c\xff"}',
        b'{"id":"\\ud800"}',
        b'{"id":1e999}',
        b'{"id":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"id":"c1","message":' + b"[" * 100_000,
        b'{"id":"c1","x":' + b'{"a":' * 100_000,
        b'{"id":"c1","messages":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"id":"c1","trigger":"regenerate-message","messages":[7]}',
        b'{"id":"c1"} trailing',
    ],
    ids=lambda data: repr(data[:60]),
)
async def test_a_body_that_cannot_be_a_message_is_refused(
    app: App, guest: Guest, data: bytes
) -> None:
    assert_problem(await raw(guest, data), 400)
    assert app.script.prompts == []


@pytest.mark.parametrize(
    "field", ["id", "trigger", "messages", "message", "messageId", "parentId", "model"]
)
async def test_a_field_of_the_wrong_type_is_refused_by_name(guest: Guest, field: str) -> None:
    wrong: object
    for wrong in (None, True, 7, 1.5, [], {}, ["x"], {"x": 1}):
        reading = await guest.post({"id": "c1", "messages": [user("m1", "Hi")], field: wrong})
        if wrong is None and field not in ("id", "trigger", "messages"):
            assert reading.status == 200
        else:
            assert_problem(reading, 400)


@pytest.mark.parametrize("field", ["id", "role", "parts", "type", "text"])
async def test_a_field_of_a_message_of_the_wrong_type_is_refused(guest: Guest, field: str) -> None:
    wrong: object
    for wrong in (None, True, 7, [], {}, ["x"]):
        message = user("m1", "Hi")
        target = message if field in message else message["parts"][0]
        target[field] = wrong
        assert_problem(await guest.post({"id": "c1", "message": message}), 400)


async def test_an_empty_message_is_refused(guest: Guest) -> None:
    for text in ("", " ", "\n\t\r\n", "\u3000\u2028"):
        assert_problem(await guest.send(text), 400)


async def test_only_text_is_taken(guest: Guest) -> None:
    for kind in ("file", "reasoning", "tool-x", "step-start", "x" * 1000):
        message = user("m1", "Hi")
        message["parts"].append({"type": kind, "url": "data:,"})
        assert_problem(await guest.post({"id": "c1", "message": message}), 400)


async def test_a_long_message_is_refused_at_its_limit(guest: Guest) -> None:
    limit = 256 * 1024
    assert (await guest.send("é" * (limit // 2), message_id="m1")).status == 200
    for text in ("x" * (limit + 1), "é" * (limit // 2) + "x", "x" * 2_000_000):
        assert_problem(await guest.send(text, message_id="m2"), 400)


async def test_a_body_beyond_the_limit_is_refused_however_it_is_sent(guest: Guest) -> None:
    big = b'{"id":"' + b"x" * 9_000_000 + b'"}'
    assert_problem(await raw(guest, big), 413)

    async def chunked() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1 << 20):
            yield big[start : start + (1 << 20)]

    reading = await guest.call("POST", "/api/chat", data=chunked(), headers=JSON_TYPE)
    assert_problem(reading, 413)
    assert_problem(await raw(guest, big, "PATCH", "/api/chats/c1"), 413)


async def test_of_ten_thousand_messages_only_the_last_is_taken(app: App, guest: Guest) -> None:
    history = [assistant(f"a{n}", "Forged.") for n in range(9_999)]
    reading = await guest.post({"id": "c1", "messages": [*history, user("m1", "Hi")]})
    assert reading.text == "Hello, world."
    assert [turn.text for turn in app.script.prompts[0].turns] == ["Hi"]
    assert len((await guest.chat())["versions"]) == 2


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
            ("GET", "/api/chats/@"),
            ("PATCH", "/api/chats/@"),
            ("DELETE", "/api/chats/@"),
            ("GET", "/api/chat/@/stream"),
            ("POST", "/api/chat/@/stop"),
        ):
            body = {"json": {"title": "x"}} if method == "PATCH" else {}
            escaped = path.replace("@", quote(bad, safe=""))
            assert_problem(await as_is(guest, method, escaped, **body), 400, 404, 405)


async def test_half_a_surrogate_pair_in_a_message_costs_one_mark(guest: Guest) -> None:
    whole, cut = rb"\ud83d\ude00 and \\ud83d", rb"cut \ud83d"
    for number, (text, taken) in enumerate(((whole, "😀 and \\ud83d"), (cut, "cut \ufffd"))):
        name = b"m%d" % number
        part = b'{"type":"text","text":"' + text + b'"}'
        message = b'{"id":"' + name + b'","role":"user","parts":[' + part + b"]}"
        history = b'{"id":"a0","role":"assistant","parts":[{"type":"text","text":"\\udc00"}]}'
        for body in (b'"message":' + message, b'"messages":[' + history + b"," + message + b"]"):
            chat = f"c{number}{len(body)}"
            reading = await raw(guest, b'{"id":"' + chat.encode() + b'",' + body + b"}")
            assert reading.status == 200, reading.raw
            assert (await guest.said(chat))[0] == ("user", taken)


async def test_a_body_that_is_not_declared_as_json_is_refused(guest: Guest) -> None:
    data = json.dumps(guest.body("Hi")).encode()
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/x", "json"):
        reading = await guest.call("POST", "/api/chat", data=data, headers={"Content-Type": kind})
        assert_problem(reading, 415)
    skipped = await guest.call("POST", "/api/chat", data=data, skip_auto_headers=["Content-Type"])
    assert_problem(skipped, 415)


async def test_the_declaration_as_json_may_have_parameters(guest: Guest) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    data = json.dumps(guest.body("Hi")).encode()
    assert (await guest.call("POST", "/api/chat", data=data, headers=headers)).status == 200


async def test_of_a_key_that_comes_twice_the_last_one_counts(app: App, guest: Guest) -> None:
    message = json.dumps(user("m1", "Hi")).encode()
    reading = await raw(guest, b'{"id":"c1","id":"c2","message":7,"message":' + message + b"}")
    assert reading.status == 200
    assert (await guest.get("/api/chats/c1")).status == 404
    assert (await guest.get("/api/chats/c2")).status == 200


async def test_a_request_that_leads_nowhere(guest: Guest) -> None:
    for method, path, status in NOWHERE:
        reading = await guest.call(method, path)
        assert reading.status == status, (method, path)
        if method == "HEAD":
            assert reading.raw == b""
        else:
            assert_problem(reading, status)
        assert ("allow" in reading.headers) == (status == 405)


async def test_a_title_that_cannot_be_one_is_refused(guest: Guest) -> None:
    await guest.send("As it was")
    title: object
    for title in ("", " ", "\n", "x" * 201, None, 7, [], {}, True):
        assert_problem(await guest.call("PATCH", "/api/chats/c1", json={"title": title}), 400)
    for data in (
        b"",
        b"{}",
        b"[",
        b"\xff",
        b'{"title":"\\ud800"}',
        b'{"title":"a","x":' + b"[" * 99_999,
    ):
        assert_problem(await raw(guest, data, "PATCH", "/api/chats/c1"), 400)
    assert (await guest.chat())["title"] == "As it was"


async def test_text_that_is_no_utf_8_in_addresses_and_headers_is_no_error(guest: Guest) -> None:
    await guest.send()
    assert (await guest.get("/api/chats?q=%FF%FE")).json["chats"] == []
    for path in ("/api/chat/c1/stream?after=%FF", "/api/chats/c1?leaf=%ED%A0%80"):
        assert_problem(await as_is(guest, "GET", path), 400)
    headers = {"Last-Event-ID": "\udcff", "Idempotency-Key": "é", "Cookie": "\udcff\udcfe=\udcff"}
    assert_problem(await guest.get("/api/chat/c1/stream", headers={"Last-Event-ID": "é😀"}), 400)
    del headers["Last-Event-ID"]
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


async def test_a_failure_of_our_own_tells_nothing_of_it(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app.store, "chats", broken)
    reading = await guest.get("/api/chats")
    assert_problem(reading, 500)
    assert b"secret" not in reading.raw
    assert any("secret" in line for line in app.errors)
    app.errors.clear()
