"""The source for OpenAI-compatible endpoints, over real HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.runs.source import (
    Alive,
    Event,
    Finish,
    Prompt,
    ReasoningDelta,
    Source,
    TextDelta,
    Turn,
)
from tests.fake_provider import ODD, SECRET_WORDS, FakeProvider, answer

KEY = "sk-test-0123456789abcdef"
ABLE = PrefillTable.parse("fake*")


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
async def source(provider: FakeProvider) -> AsyncIterator[OpenAICompatible]:
    made = OpenAICompatible(base_url=provider.base_url, api_key=KEY, prefill=ABLE, usage_wait=0.05)
    yield made
    await made.close()


def prompt(model: str = "fake:", said: str = "") -> Prompt:
    turns = [Turn("system", "Be brief."), Turn("user", "Count.")]
    return Prompt(model=model, turns=turns, said=said)


async def ask(source: Source, asked: Prompt | None = None) -> list[Event]:
    async with asyncio.timeout(20):
        return [event async for event in source.stream(asked or prompt())]


async def fail(source: Source, asked: Prompt | None = None) -> tuple[list[Event], ModelError]:
    """What came before the failure, and the failure. It never shows what the provider said."""
    events: list[Event] = []
    with pytest.raises(ModelError) as caught:
        async with asyncio.timeout(20):
            async for event in source.stream(asked or prompt()):
                events.append(event)  # noqa: PERF401
    assert not any(word in str(caught.value) for word in (*SECRET_WORDS.split(), KEY, "127.0.0.1"))
    assert KEY not in caught.value.detail
    return events, caught.value


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_streams_and_ends_with_what_is_known_of_it(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    events = await ask(source, prompt("fake:tokens=3"))
    usage = {
        "inputTokens": 7,
        "outputTokens": 3,
        "totalTokens": 10,
        "reasoningTokens": 2,
        "cachedInputTokens": 3,
    }
    known = {
        "model": "fake:tokens=3-used",
        "usage": usage,
        "cost": 0.00125,
        "generationId": "gen-header",
    }
    assert events == [
        TextDelta("w1 "),
        TextDelta("w2 "),
        TextDelta("w3 "),
        Finish(reason="stop", metadata=known),
    ]


async def test_the_request_carries_the_conversation_the_key_and_the_headers(
    provider: FakeProvider,
) -> None:
    source = OpenAICompatible(
        base_url=provider.base_url + "/",
        api_key=KEY,
        headers={"HTTP-Referer": "https://example.org", "X-OpenRouter-Title": "Chat"},
        reasoning_effort="low",
        extra_body={"temperature": 0, "provider": {"sort": "price"}},
    )
    await ask(source)
    await source.close()
    (request,) = provider.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["HTTP-Referer"] == "https://example.org"
    assert request.headers["X-OpenRouter-Title"] == "Chat"
    assert request.body == {
        "model": "fake:",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Count."},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "low",
        "temperature": 0,
        "provider": {"sort": "price"},
    }


async def test_openrouter_gets_its_own_fields(provider: FakeProvider) -> None:
    source = OpenAICompatible(
        base_url=provider.base_url,
        dialect="openrouter",
        fallback_models=["b/one", "c/two"],
        reasoning_effort="high",
    )
    await ask(source)
    await source.close()
    (request,) = provider.requests
    assert request.body["models"] == ["b/one", "c/two"]
    assert request.body["reasoning"] == {"effort": "high"}
    assert "stream_options" not in request.body
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    "options",
    [
        "comments=2",
        "crlf",
        "nospace",
        "split",
        "usage=0",
        "after=finish,cut_after=0",
        "after=finish,end_after=0",
        "after=finish,done_after=0",
        "done_after=6",
        "after=finish,stall_after=0",
        "after=finish,junk_after=0",
        "after=finish,error_after=0",
    ],
)
async def test_harmless_oddities_leave_the_answer_whole(
    source: OpenAICompatible, options: str
) -> None:
    events = await ask(source, prompt(f"fake:tokens=6,{options}"))
    assert text_of(events) == answer(6)
    assert isinstance(events[-1], Finish)
    assert events[-1].reason == "stop"


@pytest.mark.promise("foreign-bytes")
async def test_odd_marks_survive_writes_of_single_bytes(source: OpenAICompatible) -> None:
    events = await ask(source, prompt("fake:tokens=2,odd,split"))
    assert text_of(events) == answer(2) + ODD


async def test_a_huge_answer_comes_through(source: OpenAICompatible) -> None:
    events = await ask(source, prompt("fake:tokens=20000"))
    assert text_of(events) == answer(20_000)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_comes_as_reasoning(source: OpenAICompatible, field: str) -> None:
    events = await ask(source, prompt(f"fake:tokens=1,reasoning=2,field={field}"))
    assert events[:-1] == [ReasoningDelta("r1 "), ReasoningDelta("r2 "), TextDelta("w1 ")]


@pytest.mark.parametrize(
    ("status", "retryable", "says"),
    [
        (400, False, "refused the request"),
        (401, False, "set a valid key"),
        (402, False, "no credit"),
        (403, False, "does not allow this request"),
        (404, False, "does not offer this model"),
        (408, True, "too long"),
        (409, True, "Try again"),
        (413, False, "conversation is too long"),
        (418, False, "refused the request"),
        (422, False, "refused the request"),
        (425, True, "busy"),
        (429, True, "busy"),
        (500, True, "had a problem"),
        (502, True, "had a problem"),
        (503, True, "busy"),
        (529, True, "busy"),
        (204, True, "answered with nothing"),
    ],
)
async def test_each_status_has_its_sentence(
    source: OpenAICompatible, status: int, retryable: bool, says: str
) -> None:
    events, error = await fail(source, prompt(f"fake:status={status}"))
    assert events == []
    assert error.retryable is retryable
    assert not error.refused_rung
    assert says in str(error)
    assert error.detail == "" if status == 204 else f"HTTP {status}" in error.detail


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("-3", None), ("soon", None), ("٣", None)],
)
async def test_the_time_to_wait_is_taken_over_if_it_makes_sense(
    provider: FakeProvider, source: OpenAICompatible, header: str, seconds: float | None
) -> None:
    provider.plan(f"status=429,retry_after={header}")
    _, error = await fail(source)
    assert error.retry_after == seconds


@pytest.mark.promise("no-secrets")
async def test_the_log_may_know_what_the_provider_said_without_the_key(
    provider: FakeProvider,
) -> None:
    source = OpenAICompatible(base_url=provider.base_url, api_key="upstream-secret")
    _, error = await fail(source, prompt("fake:status=500"))
    await source.close()
    assert "internal.example" in error.detail
    assert "upstream-secret" not in error.detail


@pytest.mark.parametrize(
    ("options", "retryable"),
    [
        ("error_after=2,code=server_error", True),
        ("error_after=2,code=502", True),
        ("error_after=2,code=429", True),
        ("error_after=2,code=context_length_exceeded", False),
        ("cut_after=2", True),
        ("end_after=2", True),
        ("junk_after=2", True),
        ("chunk_after=2", True),
    ],
)
async def test_a_failure_in_the_answer_comes_after_what_was_said(
    source: OpenAICompatible, options: str, retryable: bool
) -> None:
    events, error = await fail(source, prompt(f"fake:tokens=5,split,{options}"))
    assert text_of(events) == answer(2)
    assert error.retryable is retryable


async def test_an_empty_answer_is_a_failure_that_may_pass(source: OpenAICompatible) -> None:
    _, error = await fail(source, prompt("fake:empty"))
    assert str(error) == "The model gave an empty answer."
    assert error.retryable


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize("options", ["html", "json"])
async def test_a_body_that_is_no_stream_is_a_failure(
    source: OpenAICompatible, options: str
) -> None:
    _, error = await fail(source, prompt(f"fake:{options}"))
    assert "did not answer with a stream" in str(error)
    assert not error.retryable


async def test_an_error_in_a_successful_json_body_is_understood(source: OpenAICompatible) -> None:
    _, error = await fail(source, prompt("fake:json,code=429"))
    assert error.retryable
    assert "busy" in str(error)


async def test_a_redirect_is_not_followed(provider: FakeProvider, source: OpenAICompatible) -> None:
    _, error = await fail(source, prompt("fake:redirect"))
    assert "leads elsewhere" in str(error)
    assert not error.retryable
    assert len(provider.requests) == 1


async def test_a_server_that_is_not_there_is_a_failure_that_may_pass() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        source = OpenAICompatible(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        _, error = await fail(source)
        await source.close()
    assert error.retryable
    assert "cannot be reached" in str(error)


async def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    with socket.socket() as full:  # a full queue of connections: the next one is not answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            address = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
            source = OpenAICompatible(base_url=address, connect_timeout=0.05)
            _, error = await fail(source)
            await source.close()
    assert error.retryable


@pytest.mark.promise("foreign-bytes")
async def test_a_server_that_speaks_no_http_is_a_failure() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        source = OpenAICompatible(base_url=f"http://127.0.0.1:{port}/v1")
        _, error = await fail(source)
        await source.close()
    assert error.retryable


@pytest.mark.promise("no-leak")
async def test_closing_the_generator_ends_the_providers_work(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    stream = source.stream(prompt("fake:stall_after=3"))
    assert await anext(stream) == TextDelta("w1 ")
    await stream.aclose()
    (request,) = provider.requests
    async with asyncio.timeout(5):
        await request.ended.wait()
    assert request.closed_early
    assert provider.open == 0


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("options", ["stall_after=3", "stall_after=0", "first=60"])
async def test_cancelling_the_reader_ends_the_providers_work(
    provider: FakeProvider, source: OpenAICompatible, options: str
) -> None:
    task = asyncio.create_task(ask(source, prompt(f"fake:{options}")))
    async with asyncio.timeout(5):
        request = await provider.request()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await request.ended.wait()
    assert request.closed_early


async def test_many_answers_at_once_do_not_wait_for_each_other(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    asked = [prompt(f"fake:word={chr(97 + n % 26)},tokens={n + 1},first=0.2") for n in range(150)]
    answers = await asyncio.gather(*(ask(source, each) for each in asked))
    assert [text_of(each) for each in answers] == [
        answer(n + 1, chr(97 + n % 26)) for n in range(150)
    ]
    assert provider.peak > 100


@pytest.mark.promise("no-leak")
async def test_closing_the_source_cuts_its_streams_and_refuses_new_ones(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    stream = source.stream(prompt("fake:stall_after=1"))
    assert await anext(stream) == TextDelta("w1 ")
    await source.close()
    with pytest.raises(ModelError) as caught:
        await anext(stream)
    assert caught.value.retryable
    _, error = await fail(source)
    assert error.retryable
    await source.close()


SAID = ["w1 w2", "w1 w2 ", "w1 w", answer(4)[:-1]]


async def test_a_repetition_that_is_dropped_is_a_sign_of_life(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    provider.plan("tokens=20,prefill=echo,rate=200")
    events = await ask(source, prompt("fake:", said=answer(15)))
    assert text_of(events) == "".join(f"w{number} " for number in range(16, 21))
    begun = events.index(TextDelta("w16 "))
    assert events[:begun].count(Alive("chunk")) >= 10


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize("style", ["plain", "mistral", "vllm"])
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("split", ["", ",split"])
async def test_a_continuation_begins_exactly_where_the_answer_broke_off(
    provider: FakeProvider, style: str, said: str, split: str
) -> None:
    source = OpenAICompatible(
        base_url=provider.base_url,
        prefill=PrefillTable.parse(f"fake*={style}"),
        reasoning_effort="high",
    )
    echo = ",prefill=echo" if style == "mistral" else ""
    events = await ask(source, prompt(f"fake:tokens=4{split}{echo}", said))
    await source.close()
    assert said + text_of(events) == answer(4)
    body = provider.requests[0].body
    message: dict[str, Any] = {"role": "assistant", "content": said.rstrip()}
    assert body["messages"][-1] == message | ({"prefix": True} if style == "mistral" else {})
    assert body.get("continue_final_message") is (True if style == "vllm" else None)
    assert body.get("add_generation_prompt") is (False if style == "vllm" else None)
    assert "reasoning_effort" not in body


async def test_a_model_that_begins_without_white_space_is_joined_as_it_is(
    source: OpenAICompatible,
) -> None:
    events = await ask(source, prompt("fake:tokens=4,prefill=trim", "w1 w2 "))
    assert "w1 w2 " + text_of(events) == answer(4)


async def test_a_continuation_of_a_complete_answer_is_empty(source: OpenAICompatible) -> None:
    events = await ask(source, prompt("fake:tokens=4", answer(4)))
    assert text_of(events) == ""
    assert isinstance(events[-1], Finish)


async def test_a_beginning_of_white_space_alone_is_asked_anew(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    await ask(source, prompt("fake:", " \n"))
    assert provider.requests[0].body["messages"][-1]["role"] == "user"


async def test_a_refused_beginning_is_told_apart(source: OpenAICompatible) -> None:
    _, error = await fail(source, prompt("fake:prefill=refuse", "w1 "))
    assert error.refused_rung
    assert not error.retryable


async def test_a_model_that_cannot_continue_is_not_asked_to(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    assert source.can_prefill("fake:")
    assert not source.can_prefill("other")
    _, error = await fail(source, prompt("other", "w1 "))
    assert error.refused_rung
    assert provider.requests == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"base_url": "openrouter.ai/api/v1"}, "Write it in full"),
        ({"base_url": "ftp://host/v1"}, "Write it in full"),
        ({"base_url": "http://[::1"}, "Write it in full"),
        ({"base_url": ""}, "Write it in full"),
        ({"api_key": "two\nlines"}, "on one line"),
        ({"api_key": ""}, "Copy it again"),
        ({"base_url": "http://me:pw@host/v1", "api_key": KEY}, "Leave one of them out"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "cannot be sent"),
        ({"fallback_models": ["a/b"]}, "OpenRouter's"),
        ({"extra_body": {"stream": False}}, "cannot be set"),
        ({"extra_body": {"x": object()}}, "not JSON"),
    ],
)
def test_what_no_request_could_be_made_with_is_refused_at_once(
    arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidSetting, match=says):
        OpenAICompatible(**{"base_url": "http://localhost/v1", **arguments})
