"""The client against a server that fails in every way that a network can."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from durable_llm_streams import chunks
from durable_llm_streams.client import (
    DurableClient,
    Event,
    Retry,
    ServerRefused,
    ServerUnreachable,
    State,
)
from durable_llm_streams.errors import CursorLost, InvalidSetting
from durable_llm_streams.fold import Fold
from tests.stub_server import RUN, TOKEN, Act, Stub, problem, stub_server, text_log

LOG = text_log("Du", "rable ", "st", '"re', "ams ", "\\ ", "é—🚲", " end")
HTML = {"Content-Type": "text/html"}
PROBLEM = {"Content-Type": "application/problem+json"}


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def retry(self, **changes: Any) -> Retry:
        plain = Retry(clock=lambda: self.now, sleep=self.sleep, random=lambda: 1.0)
        return plain._replace(**changes)


def cursor(seq: int) -> str:
    return f"{RUN}.{seq:08x}.{TOKEN}"


def whole(records: list[bytes]) -> list[Event]:
    return [Event(cursor(seq), chunks.decode(record)) for seq, record in enumerate(records, 1)]


async def ask(
    stub: Stub, retry: Retry | None = None, chat: str = "c1", states: list[State] | None = None
) -> list[Event]:
    note = (states if states is not None else []).append
    retry = retry or Time().retry()
    async with DurableClient(stub.url, retry=retry, on_state=note) as client:
        return [event async for event in client.ask(chat, "Why?", message_id="m1")]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server(LOG) as stub:
        yield stub


async def test_an_answer_arrives_whole_and_the_question_is_what_the_ai_sdk_sends(
    stub: Stub,
) -> None:
    async with DurableClient(stub.url + "/") as client:
        assert [event async for event in client.ask("c1", "Why?", model="demo")] == whole(LOG)
    body = next(body for method, *_, body in stub.requests if method == "POST")
    parts = [{"type": "text", "text": "Why?"}]
    assert body == {
        "id": "c1",
        "message": {"id": body["message"]["id"], "role": "user", "parts": parts},
        "trigger": "submit-message",
        "model": "demo",
    }


async def test_an_answer_is_folded_and_a_given_session_is_left_open(stub: Stub) -> None:
    headers = {"authorization": "Bearer x"}
    async with aiohttp.ClientSession() as session:
        async with DurableClient(stub.url, session=session, headers=headers) as client:
            assert await client.answer("c1", "Why?") == Fold.of(LOG).message()
        assert not session.closed
    assert [path for _, path, *_ in stub.requests] == ["/api/chat"], "no cookie was needed"


@pytest.mark.promise("prefix")
@pytest.mark.parametrize(
    ("act", "changes", "reason"),
    [
        (Act(upto=300, politely=True), {}, "the stream ended before the answer did"),
        (Act(upto=300), {}, "the connection broke (C"),
        (Act(upto=300, silent=True), {"silence": 0.1}, "the server is silent"),
    ],
    ids=["ended", "cut", "silent"],
)
async def test_a_cut_stream_continues_after_the_last_event(
    stub: Stub, act: Act, changes: dict[str, Any], reason: str
) -> None:
    states: list[State] = []
    stub.acts += [act]
    assert await ask(stub, Time().retry(**changes), states=states) == whole(LOG)
    (found,) = [state.reason for state in states if state.name == "reconnecting"]
    assert found.startswith(reason)
    (first, none), (second, last) = stub.streams
    assert (first, none, second) == ("POST", None, "GET")
    assert last is not None
    assert last > cursor(1)


@pytest.mark.promise("prefix")
async def test_a_stream_with_done_before_its_terminal_chunk_was_cut(stub: Stub) -> None:
    stub.records, time = LOG[:-1], Time()

    async def restart(seconds: float) -> None:
        stub.records = LOG
        await time.sleep(seconds)

    assert await ask(stub, time.retry(sleep=restart)) == whole(LOG)


@pytest.mark.parametrize("end", [chunks.finish("stop", {}), chunks.error("no"), chunks.ABORT])
async def test_a_terminal_chunk_ends_the_answer_even_if_done_is_missing(
    stub: Stub, end: bytes
) -> None:
    stub.records = text_log("so", " far", end=end)
    stub.acts += [Act(done=False, silent=True)]
    assert await ask(stub) == whole(stub.records)
    assert len(stub.streams) == 1


@pytest.mark.promise("idempotent-send")
async def test_a_question_whose_answer_got_lost_is_sent_again_with_the_same_id(
    stub: Stub,
) -> None:
    stub.acts += [Act(lost=True), Act(upto=0)]
    assert await ask(stub) == whole(LOG)
    posts = [body for method, path, _, body in stub.requests if method == "POST"]
    assert len(posts) == 3
    assert posts[0] == posts[1] == posts[2]
    assert stub.questions == {"m1": "Why?"}
    assert stub.requests[0][:2] == ("GET", "/api/chats"), "the visitor is known before"
    assert stub.owners == {"c1": "visitor1"}


@pytest.mark.promise("prefix")
async def test_a_restarted_server_continues_the_answer(stub: Stub) -> None:
    stub.acts += [Act(upto=300)]
    time, states = Time(), list[State]()

    async def restart(seconds: float) -> None:
        await time.sleep(seconds)
        if len(time.pauses) == 1:
            await stub.__aexit__()
        elif len(time.pauses) == 3:
            await stub.__aenter__()

    assert await ask(stub, time.retry(sleep=restart), states=states) == whole(LOG)
    names = ["connecting", "live", *["reconnecting"] * 3, "live", "ended"]
    assert [state.name for state in states] == names
    assert time.pauses == [0.25, 0.5, 1.0]


async def test_retry_after_is_waited_for_and_a_proxys_page_is_not_an_answer(stub: Stub) -> None:
    time = Time()
    stub.acts += [
        Act(503, headers={"Retry-After": "7"}),
        Act(502, b"<h1>Bad gateway", HTML),
        Act(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Act(503, headers={"Retry-After": "soon"}),
        Act(upto=300),
        Act(404, b"404 page not found", {"Content-Type": "text/plain"}),
    ]
    assert await ask(stub, time.retry()) == whole(LOG)
    assert time.pauses == [7.25, 0.5, 1.0, 2.0, 0.25, 0.5]


@pytest.mark.promise("foreign-bytes")
async def test_a_page_with_status_200_is_not_a_stream(stub: Stub) -> None:
    client = DurableClient(stub.url, retry=Time().retry(patience=1))
    client._base = stub.url + "/api/chats?"  # every address answers with JSON
    async with client:
        with pytest.raises(ServerUnreachable, match="something other than the server"):
            _ = [event async for event in client.follow("c1")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_ends_with_the_servers_own_sentence(stub: Stub, status: int) -> None:
    stub.acts += [problem(status, "Not like this.")]
    with pytest.raises(ServerRefused, match="Not like this") as raised:
        await ask(stub)
    error = raised.value
    assert (error.status, error.title, error.type) == (status, "No", "urn:x")
    assert len(stub.streams) == 1


@pytest.mark.parametrize(
    "act", [Act(403, b"<h1>Forbidden", HTML), Act(403, b"{", PROBLEM), Act(403, b"[1]", PROBLEM)]
)
async def test_a_refusal_without_a_problem_document_is_still_a_clear_error(
    stub: Stub, act: Act
) -> None:
    stub.acts += [act]
    with pytest.raises(ServerRefused) as raised:
        await ask(stub)
    error = raised.value
    assert str(error) == "The server gave no reason. (HTTP 403)"
    assert (error.status, error.type, error.title, error.detail) == (403, "about:blank", "", "")


@pytest.mark.promise("lost-tail-is-told")
@pytest.mark.parametrize("act", [problem(410, "Gone."), Act(204)], ids=["cursor", "end"])
async def test_an_answer_whose_rest_is_lost_is_not_taken_for_whole(stub: Stub, act: Act) -> None:
    stub.acts += [Act(upto=300), act]
    with pytest.raises(CursorLost):
        await ask(stub)


async def test_following_where_nothing_is_written_yields_nothing(stub: Stub) -> None:
    stub.active = False
    async with DurableClient(stub.url) as client:
        for after in (None, cursor(len(LOG))):
            assert [event async for event in client.follow("c1", after=after)] == []


async def test_following_after_a_cursor_yields_only_what_comes_later(stub: Stub) -> None:
    stub.acts += [Act(back=2, upto=200), Act(merged=True)]
    async with DurableClient(stub.url, retry=Time().retry()) as client:
        events = [event async for event in client.follow("c1", after=cursor(4))]
    fold = Fold.of(LOG[:4])
    for event in events:
        fold.apply(event.chunk)
    assert fold.message() == Fold.of(LOG).message()
    assert stub.streams[0] == ("GET", cursor(4))


async def test_the_client_gives_up_after_its_timeout() -> None:
    async with stub_server(LOG) as stub:
        url = stub.url
    time = Time()
    async with DurableClient(url, retry=time.retry()) as client:
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            await client.answer("c1", "Why?")
    assert 270 < time.now <= 300
    assert time.pauses[:8] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


async def test_a_server_that_accepts_and_stays_silent_times_out_too(stub: Stub) -> None:
    stub.acts.extend([Act(upto=20)] * 100)
    with pytest.raises(ServerUnreachable):
        await ask(stub)


async def test_pauses_are_random_up_to_their_bound(stub: Stub) -> None:
    time, draws = Time(), iter([0.5, 0.0, 0.25])
    stub.acts += [Act(503)] * 3
    await ask(stub, time.retry(random=lambda: next(draws)))
    assert time.pauses == [0.125, 0.0, 0.25]


async def test_an_invalid_address_is_not_tried_again() -> None:
    async with DurableClient("localhost", retry=Time().retry()) as client:
        with pytest.raises(InvalidSetting):
            await client.models()


async def test_calls_are_retried_after_failures_and_return_the_servers_answer(
    stub: Stub,
) -> None:
    async with DurableClient(stub.url, retry=Time().retry()) as client:
        stub.acts += [Act(503), Act(502, b"<h1>")]
        assert await client.models() == {"models": [{"id": "demo"}]}
        assert (await client.chats(q="sky"))["next"] is None
        assert await client.stop("c1") == {"stopped": "any"}
        assert await client.stop("c1", "run1") == {"stopped": "run1"}
        with pytest.raises(ServerRefused, match="no such chat"):
            await client.snapshot("a/b")
    assert stub.requests[-1][1] == "/api/chats/a/b"  # decoded; one segment for the router


@pytest.mark.promise("no-leak")
async def test_leaving_an_answer_early_leaves_no_connection_behind(stub: Stub) -> None:
    async with DurableClient(stub.url) as client:
        async with aclosing(client.ask("c1", "Why?")) as events:
            await anext(events)
        session = client.session
        assert session.connector is not None
        assert not session.connector._acquired
        await client.close()
        assert session.closed
        assert await client.models()  # a closed client opens another session


@pytest.mark.promise("prefix")
async def test_nothing_is_lost_or_doubled_whatever_is_cut_when(stub: Stub) -> None:
    for seed in range(200):
        rng = random.Random(seed)
        stub.questions.clear()
        stub.requests.clear()
        stub.acts.clear()
        stub.acts.extend(_random_act(rng) for _ in range(rng.randrange(7)))
        events = await ask(stub, chat=f"c{seed}")
        told = Fold()
        for event in events:
            told.apply(event.chunk)
        assert told.message() == Fold.of(LOG).message(), seed
        cursors = [event.cursor for event in events]
        assert cursors == sorted(set(cursors)), seed
        assert stub.questions == {"m1": "Why?"}, seed


def _random_act(rng: random.Random) -> Act:
    kind = rng.random()
    if kind < 0.1:
        return Act(status=rng.choice([502, 503, 429]))
    if kind < 0.2:
        return Act(lost=True)
    back = rng.choice([0, 0, 0, 1, 5])
    return Act(
        upto=rng.randrange(900),
        politely=rng.random() < 0.5,
        back=back,
        merged=back == 0 and rng.random() < 0.5,  # servers merge only what a reader lacks
    )
