"""What the client sends, when it retries, what it reports, and when it gives up."""

from __future__ import annotations

import asyncio
import itertools
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from durable_llm_streams.client import DurableClient, ServerUnreachable, State
from durable_llm_streams.client._answers import Reading, _is_later, _retry_after
from durable_llm_streams.client._retry import Cut, RetryBudget
from durable_llm_streams.errors import DurableError
from durable_llm_streams.wire.sse import MAX_EVENT_BYTES, opening
from tests.stub_server import Act, Stub
from tests.test_client import LOG, Time, ask, cursor, stub, whole
from tests.waiting import within

__all__ = ["stub"]

STREAM = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}


async def test_every_request_has_the_callers_headers_and_streams_ask_for_events(
    stub: Stub,
) -> None:
    sent: list[tuple[str, str, dict[str, str]]] = []
    names = ("X-Own", *STREAM, "Last-Event-ID")

    async def note(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        headers = {name: params.headers[name] for name in names if name in params.headers}
        sent.append((params.method, params.url.raw_path_qs, headers))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    time = Time()
    retry = time.retry(connect=7.0, silence=9.0)
    async with aiohttp.ClientSession(trace_configs=[trace], skip_auto_headers=STREAM) as session:
        client = DurableClient(stub.url, session=session, headers={"X-Own": "1"}, retry=retry)
        for chat in ("c/1", "c2"):
            _ = [event async for event in client.ask(chat, "Why?")]
        _ = [event async for event in client.follow("c/1", cursor(4))]
        await client.stop("c/1", "r")
        await client.chats(q="sky")
        await client.snapshot("c2")
        stub.acts += [Act(201, b"<h1>")]  # no JSON: asked again
        assert await client.models()
        stub.acts += [Act(204)]
        assert await client.models() is None, "an empty answer is none to read"
    assert len(stub.questions) == 2, f"each question has an id of its own: {stub.questions}"
    own = {"X-Own": "1"}
    assert sent == [
        ("GET", "/api/chats", own),  # one introduction is enough
        ("POST", "/api/chat", {**own, **STREAM}),
        ("POST", "/api/chat", {**own, **STREAM}),
        ("GET", "/api/chat/c%2F1/stream", {**own, **STREAM, "Last-Event-ID": cursor(4)}),
        ("POST", "/api/chat/c%2F1/stop?run=r", own),
        ("GET", "/api/chats?q=sky", own),
        ("GET", "/api/chats/c2", own),
        *[("GET", "/api/models", own)] * 3,
    ]
    assert time.pauses == [0.25], "what is no JSON is asked for again after a pause"
    assert client._timeout == aiohttp.ClientTimeout(total=None, sock_connect=7.0, sock_read=9.0)


@pytest.mark.parametrize("status", [304, 408, 425, 429, 500, 503, 599])
async def test_temporary_failures_are_retried(stub: Stub, status: int) -> None:
    stub.acts += [Act(status)]
    assert await ask(stub) == whole(LOG)
    assert len(stub.streams) == 2


async def test_a_stream_reports_each_attempt_its_pause_and_the_reason(stub: Stub) -> None:
    stub.acts += [
        Act(503, headers={"Retry-After": "7"}),
        Act(204),
        Act(upto=300, politely=True),
        Act(503),
    ]
    time, states = Time(), list[State]()

    async def find(seconds: float) -> None:
        await time.sleep(seconds)
        if len(time.pauses) == 2:
            client._base = stub.url

    retry = time.retry(sleep=find)
    nowhere = "http://127.0.0.1:1"
    async with DurableClient(nowhere, retry=retry, on_state=states.append) as client:
        assert [event async for event in client.ask("c1", "Why?")] == whole(LOG)
        stub.active = False
        assert [event async for event in client.follow("c1")] == []
        stub.acts += [Act(503)]
        await client.models()  # a call is no stream: it reports nothing
    unreachable = "the server cannot be reached"
    assert states == [
        State("connecting"),
        State("reconnecting", 1, 0.25, unreachable),  # before the introduction
        State("reconnecting", 2, 0.5, unreachable),
        State("reconnecting", 1, 7.25, "the server answered HTTP 503"),
        State("reconnecting", 2, 0.5, "something other than the server answered"),
        State("live"),
        State("reconnecting", 1, 0.25, "the stream ended before the answer did"),
        State("reconnecting", 2, 0.5, "the server answered HTTP 503"),
        State("live"),
        State("ended"),
        State("connecting"),
        State("ended"),
    ]


async def test_the_timeout_counts_from_the_last_sign_and_attempts_from_progress() -> None:
    time, states = Time(), list[State]()
    patience = RetryBudget(time.retry(patience=10.0, longest=2.0), states.append)
    for _ in range(5):
        await patience.pause(Cut("x"))
    patience.alive()
    await patience.pause(Cut("x", 8.0))  # exactly as long as allowed
    with pytest.raises(ServerUnreachable, match=r"^Gave up after 7 attempts: gone\.$"):
        await patience.pause(Cut("gone"))
    patience.progress()
    await patience.pause(Cut("x"))
    expected = [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (5, 2.0), (6, 10.0), (1, 0.25)]
    assert [(state.attempt, state.delay) for state in states] == expected
    assert time.pauses == [delay for _, delay in expected]
    endless = RetryBudget(time.retry(patience=None), states.append)
    for _ in range(1100):  # 2 ** 1100 is no float
        await endless.pause(Cut())
    assert states[-1].delay == 15.0


async def test_a_server_that_writes_on_is_waited_for_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, is_alive, cuts = asyncio.Event(), Reading.is_alive, iter(range(5))

    def noted(reading: Reading, data: bytes) -> bool:
        read.set()
        return is_alive(reading, data)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for data in (opening(), b": writing\n\n"):
            read.clear()
            await response.write(data)
            async with within("a client that reads what was written"):
                await read.wait()
        if next(cuts, None) is None:
            await response.write(b"id: %b\ndata: %b\n\n" % (cursor(1).encode(), LOG[-1]))
        return response

    monkeypatch.setattr(Reading, "is_alive", noted)
    app = web.Application()
    app.router.add_get("/api/chat/c1/stream", stream)
    ticks = itertools.count(step=40)  # each look at the clock
    retry = Time().retry(clock=lambda: next(ticks), patience=100)
    async with TestServer(app) as server, DurableClient(str(server.make_url("")), retry=retry) as c:
        assert [event.cursor async for event in c.follow("c1")] == [cursor(1)]


def test_a_connection_begins_without_signs_of_life_and_leftovers() -> None:
    frame = b"id: " + cursor(1).encode() + b'\ndata: {"type":"start"}\n\n'
    reading = Reading(None)
    for _ in range(2):
        reading.connect()
        alive = [reading.is_alive(data) for data in (opening(), b"", b": \n\n", b": \n\n")]
        assert alive == [False, False, True, True]
        assert list(reading.feed(frame[:-1])) == []
    reading.connect()
    assert [event.cursor for event in reading.feed(frame)] == [cursor(1)]


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("[DONE]", "the stream ended before the answer did"),
        ('{"type":"start"}', "the stream has no cursors"),
        *(
            (data, "the stream holds something other than chunks")
            for data in ("x", "[1]", "{}", '{"type":7}', "[" * 100_000)
        ),
    ],
    ids=lambda text: text[:12],
)
def test_a_stream_from_another_sender_is_a_cut_with_a_reason(data: str, reason: str) -> None:
    with pytest.raises(Cut) as raised:
        list(Reading(None).feed(f"data: {data}\n\n".encode()))
    assert str(raised.value) == reason


@pytest.mark.promise("bounded")
def test_an_event_without_an_end_is_no_stream_of_an_answer() -> None:
    with pytest.raises(DurableError, match="This is not the stream of an answer: "):
        list(Reading(None).feed(b"data: " + b"x" * MAX_EVENT_BYTES))


@pytest.mark.parametrize(
    ("found", "than", "later"),
    [
        ("r.00000001.a", None, True),
        ("r.00000002.a", "r.00000001.a", True),
        ("r.00000001.b", "r.00000001.a", False),
        ("r.00000001.a", "r.00000002.a", False),
        ("q.00000001.a", "r.00000002.a", True),
        ("s.00000001.a", "r.00000002.a", True),
    ],
)
def test_a_cursor_is_later_by_its_place_or_of_another_run(
    found: str, than: str | None, later: bool
) -> None:
    assert _is_later(found, than) is later


def test_a_delay_requested_by_a_server_is_read_and_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("durable_llm_streams.client._answers.time.time", lambda: 1_000.0)
    asked: dict[str, Any] = {
        "0": 0.0, "7": 7.0, "86400": 86_400.0, "86401": 86_400.0, "9" * 5000: 86_400.0,
        "": 0.0, "-1": 0.0, "1.5": 0.0, "soon": 0.0,
        formatdate(1_090, usegmt=True): 90.0, formatdate(910, usegmt=True): 0.0,
    }  # fmt: skip
    assert {value: _retry_after(value) for value in asked} == asked
