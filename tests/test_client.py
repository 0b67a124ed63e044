"""The client against a server that fails in every way that a network knows."""

from __future__ import annotations

import random
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


async def ask(stub: Stub, retry: Retry | None = None, chat: str = "c1") -> list[Event]:
    async with DurableClient(stub.url, retry=retry or Time().retry()) as client:
        return [event async for event in client.ask(chat, "Why?", message_id="m1")]


async def test_an_answer_arrives_whole_and_the_question_is_what_the_ai_sdk_sends() -> None:
    async with stub_server(LOG) as stub:
        async with DurableClient(stub.url + "/") as client:
            events = [event async for event in client.ask("c1", "Why?", model="demo")]
        assert events == whole(LOG)
        body = next(body for method, *_, body in stub.requests if method == "POST")
        assert body == {
            "id": "c1",
            "message": {
                "id": body["message"]["id"],
                "role": "user",
                "parts": [{"type": "text", "text": "Why?"}],
            },
            "trigger": "submit-message",
            "model": "demo",
        }


async def test_answer_returns_the_folded_message() -> None:
    async with stub_server(LOG) as stub, DurableClient(stub.url) as client:
        assert await client.answer("c1", "Why?") == Fold.of(LOG).message()


@pytest.mark.promise("prefix")
@pytest.mark.parametrize("politely", [True, False])
async def test_a_cut_stream_goes_on_behind_the_last_event(politely: bool) -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(upto=300, politely=politely)]
        retry, states = Time().retry(), list[State]()
        async with DurableClient(stub.url, retry=retry, on_state=states.append) as client:
            assert [event async for event in client.ask("c1", "Why?")] == whole(LOG)
        (reason,) = [state.reason for state in states if state.name == "reconnecting"]
        said = "the stream ended before the answer did" if politely else "the connection broke (C"
        assert reason.startswith(said)
        (first, none), (second, last) = stub.streams
        assert (first, none, second) == ("POST", None, "GET")
        assert last is not None
        assert last > cursor(1)


@pytest.mark.promise("prefix")
async def test_a_stream_that_says_done_before_its_terminal_chunk_was_cut() -> None:
    async with stub_server(LOG[:-1]) as stub:
        time = Time()

        async def restart(seconds: float) -> None:
            stub.records = LOG
            await time.sleep(seconds)

        assert await ask(stub, time.retry(sleep=restart)) == whole(LOG)


async def test_a_terminal_chunk_ends_the_answer_even_if_done_is_missing() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(done=False, silent=True)]
        assert await ask(stub) == whole(LOG)
        assert len(stub.streams) == 1


@pytest.mark.parametrize("end", [chunks.error("no"), chunks.ABORT])
async def test_error_and_abort_end_the_answer_too(end: bytes) -> None:
    log = text_log("so", " far", end=end)
    async with stub_server(log) as stub:
        assert await ask(stub) == whole(log)
        assert len(stub.streams) == 1


@pytest.mark.promise("idempotent-send")
async def test_a_question_whose_answer_got_lost_is_sent_again_with_the_same_id() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(lost=True), Act(upto=0)]
        assert await ask(stub) == whole(LOG)
        posts = [body for method, path, _, body in stub.requests if method == "POST"]
        assert len(posts) == 3
        assert posts[0] == posts[1] == posts[2]
        assert stub.questions == {"m1": "Why?"}


async def test_a_visitor_is_known_before_the_first_question_is_sent() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(lost=True)]
        assert await ask(stub) == whole(LOG)
        assert stub.requests[0][:2] == ("GET", "/api/chats")
        assert stub.owners == {"c1": "visitor1"}


@pytest.mark.promise("prefix")
async def test_events_that_were_received_before_are_dropped() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(upto=500), Act(back=3, upto=400), Act(back=100)]
        assert await ask(stub) == whole(LOG)


async def test_a_silent_connection_is_given_up_for_another() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(upto=300, silent=True)]
        retry, states = Time().retry(silence=0.1), list[State]()
        async with DurableClient(stub.url, retry=retry, on_state=states.append) as client:
            assert [event async for event in client.ask("c1", "Why?")] == whole(LOG)
        assert len(stub.streams) == 2
        reasons = [state.reason for state in states if state.name == "reconnecting"]
        assert reasons == ["the server is silent"]


@pytest.mark.promise("prefix")
async def test_a_restarted_server_continues_the_answer() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(upto=300)]
        time = Time()
        states: list[State] = []

        async def restart(seconds: float) -> None:
            await time.sleep(seconds)
            if len(time.pauses) == 1:
                await stub.__aexit__()
            elif len(time.pauses) == 3:
                await stub.__aenter__()

        retry = time.retry(sleep=restart)
        async with DurableClient(stub.url, retry=retry, on_state=states.append) as client:
            events = [event async for event in client.ask("c1", "Why?")]
        assert events == whole(LOG)
        assert [(state.name, state.attempt) for state in states] == [
            ("connecting", 0),
            ("live", 0),
            ("reconnecting", 1),
            ("reconnecting", 2),
            ("reconnecting", 3),
            ("live", 0),
            ("ended", 0),
        ]
        assert time.pauses == [0.25, 0.5, 1.0]


async def test_retry_after_is_waited_for_and_a_proxys_page_is_not_an_answer() -> None:
    html = {"Content-Type": "text/html"}
    async with stub_server(LOG) as stub:
        time = Time()
        stub.acts += [
            Act(503, headers={"Retry-After": "7"}),
            Act(502, b"<h1>Bad gateway", html),
            Act(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
            Act(503, headers={"Retry-After": "soon"}),
            Act(upto=300),
            Act(404, b"404 page not found", {"Content-Type": "text/plain"}),
        ]
        assert await ask(stub, time.retry()) == whole(LOG)
        assert time.pauses == [7.25, 0.5, 1.0, 2.0, 0.25, 0.5]


@pytest.mark.promise("foreign-bytes")
async def test_a_page_with_status_200_is_not_a_stream() -> None:
    async with stub_server(LOG) as stub, aiohttp.ClientSession() as session:
        client = DurableClient(stub.url, session=session, retry=Time().retry(patience=1))
        client._base = stub.url + "/api/chats?"  # every address answers with JSON
        with pytest.raises(ServerUnreachable, match="something else than the server"):
            _ = [event async for event in client.follow("c1")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_ends_with_the_servers_own_sentence(status: int) -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [problem(status, "Not like this.")]
        with pytest.raises(ServerRefused, match="Not like this") as raised:
            await ask(stub)
        error = raised.value
        assert (error.status, error.title, error.type) == (status, "No", "urn:x")
        assert len(stub.streams) == 1


async def test_a_refusal_without_a_problem_document_is_still_a_clear_error() -> None:
    for act in (
        Act(403, b"<h1>Forbidden", {"Content-Type": "text/html"}),
        Act(403, b"{", {"Content-Type": "application/problem+json"}),
        Act(403, b"[1]", {"Content-Type": "application/problem+json"}),
    ):
        async with stub_server(LOG) as stub:
            stub.acts += [act]
            with pytest.raises(ServerRefused) as raised:
                await ask(stub)
            assert str(raised.value) == "The server gave no reason. (HTTP 403)"
            found = raised.value.status, raised.value.type, raised.value.title, raised.value.detail
            assert found == (403, "about:blank", "", "")


@pytest.mark.promise("lost-tail-is-told")
async def test_a_lost_cursor_says_so() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(upto=300), problem(410, "Gone.")]
        with pytest.raises(CursorLost):
            await ask(stub)


@pytest.mark.promise("lost-tail-is-told")
async def test_an_answer_whose_end_cannot_be_read_any_more_is_not_taken_for_whole() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(upto=300), Act(204)]
        with pytest.raises(CursorLost):
            await ask(stub)


async def test_following_where_nothing_is_written_yields_nothing() -> None:
    async with stub_server(LOG) as stub, DurableClient(stub.url) as client:
        stub.active = False
        assert [event async for event in client.follow("c1")] == []
        end = cursor(len(LOG))
        assert [event async for event in client.follow("c1", after=end)] == []


async def test_following_after_a_cursor_yields_only_what_comes_later() -> None:
    async with stub_server(LOG) as stub:
        stub.acts += [Act(back=2, upto=200), Act(merged=True)]
        async with DurableClient(stub.url, retry=Time().retry()) as client:
            events = [event async for event in client.follow("c1", after=cursor(4))]
        fold = Fold.of(LOG[:4])
        for event in events:
            fold.apply(event.chunk)
        assert fold.message() == Fold.of(LOG).message()
        assert stub.streams[0] == ("GET", cursor(4))


async def test_the_client_gives_up_when_its_patience_is_over() -> None:
    async with stub_server(LOG) as stub:
        url = stub.url
    time = Time()
    async with DurableClient(url, retry=time.retry()) as client:
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            await client.answer("c1", "Why?")
    assert 270 < time.now <= 300
    assert time.pauses[:8] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


async def test_a_server_that_accepts_and_says_nothing_is_given_up_too() -> None:
    async with stub_server(LOG) as stub:
        stub.acts.extend([Act(upto=20)] * 100)
        with pytest.raises(ServerUnreachable):
            await ask(stub)


async def test_pauses_are_random_up_to_their_bound() -> None:
    async with stub_server(LOG) as stub:
        time = Time()
        stub.acts += [Act(503)] * 3
        draws = iter([0.5, 0.0, 0.25])
        await ask(stub, time.retry(random=lambda: next(draws)))
        assert time.pauses == [0.125, 0.0, 0.25]


async def test_an_address_that_is_none_is_not_tried_again() -> None:
    async with DurableClient("localhost", retry=Time().retry()) as client:
        with pytest.raises(InvalidSetting):
            await client.models()


async def test_calls_are_repeated_after_failures_and_return_what_the_server_says() -> None:
    async with stub_server(LOG) as stub, DurableClient(stub.url, retry=Time().retry()) as client:
        stub.acts += [Act(503), Act(502, b"<h1>")]
        assert await client.models() == {"models": [{"id": "demo"}]}
        assert (await client.chats(q="sky"))["next"] is None
        assert await client.stop("c1") == {"stopped": "any"}
        assert await client.stop("c1", "run1") == {"stopped": "run1"}
        with pytest.raises(ServerRefused, match="no such chat"):
            await client.snapshot("a/b")
        assert stub.requests[-1][1] == "/api/chats/a/b"  # decoded; one segment for the router


@pytest.mark.promise("no-leak")
async def test_leaving_an_answer_early_leaves_no_connection_behind() -> None:
    async with stub_server(LOG) as stub, DurableClient(stub.url) as client:
        async with aclosing(client.ask("c1", "Why?")) as events:
            async for _ in events:
                break
        session = client.session
        assert session.connector is not None
        assert not session.connector._acquired
        await client.close()
        assert session.closed
        assert await client.models()  # a closed client opens another session


async def test_a_given_session_is_left_open_and_headers_are_sent() -> None:
    async with stub_server(LOG) as stub, aiohttp.ClientSession() as session:
        async with DurableClient(
            stub.url, session=session, headers={"authorization": "Bearer x"}
        ) as client:
            assert await client.answer("c1", "Why?")
        assert not session.closed
        assert [path for _, path, *_ in stub.requests] == ["/api/chat"]  # no cookie needed


@pytest.mark.promise("prefix")
async def test_nothing_is_lost_or_doubled_whatever_is_cut_when() -> None:
    fold = Fold.of(LOG).message()
    async with stub_server(LOG) as stub:
        for seed in range(200):
            rng = random.Random(seed)
            chat = f"c{seed}"
            stub.questions.clear()
            stub.requests.clear()
            stub.acts.clear()
            stub.acts.extend(_random_act(rng) for _ in range(rng.randrange(7)))
            events = await ask(stub, chat=chat)
            told = Fold()
            for event in events:
                told.apply(event.chunk)
            assert told.message() == fold, seed
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
