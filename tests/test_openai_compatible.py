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
from durable_llm_streams.source import Alive, Finish, TextDelta
from tests.asking import ask, fail, opened, prompt, text_of
from tests.fake_provider import KEY, FakeProvider, answer
from tests.waiting import until


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
async def source(provider: FakeProvider) -> AsyncIterator[OpenAICompatible]:
    able = PrefillTable.parse("fake*")
    async with opened(base_url=provider.base_url, api_key=KEY, prefill=able) as made:
        yield made


async def test_a_request_has_all_settings_and_an_answer_all_details(
    provider: FakeProvider,
) -> None:
    async with opened(
        base_url=provider.base_url + "/",
        api_key=KEY,
        headers={"X-OpenRouter-Title": "Chat"},
        reasoning_effort="low",
        extra_body={"temperature": 0, "provider": {"sort": "price"}},
    ) as source:
        events = await ask(source)
    finish = events[-1]
    assert isinstance(finish, Finish)
    known = {"model": "fake:tokens=3-used", "cost": 0.00125, "generationId": "gen-header"}
    assert known.items() <= finish.metadata.items(), finish.metadata
    assert text_of(events) == answer(3)
    (request,) = provider.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["X-OpenRouter-Title"] == "Chat"
    assert request.headers["Content-Type"] == "application/json"
    assert request.body == {
        "model": "fake:tokens=3",
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
    models = ["b/one", "c/two"]
    options = {"dialect": "openrouter", "fallback_models": models, "reasoning_effort": "high"}
    async with opened(base_url=provider.base_url, **options) as source:
        await ask(source)
    (request,) = provider.requests
    assert request.body["models"] == models
    assert request.body["reasoning"] == {"effort": "high"}
    assert "stream_options" not in request.body
    assert "Authorization" not in request.headers


async def test_a_stall_behind_the_finish_leaves_the_answer_whole(
    source: OpenAICompatible,
) -> None:
    events = await ask(source, prompt(model="fake:tokens=6,after=finish,stall_after=0"))
    assert text_of(events) == answer(6)
    assert isinstance(events[-1], Finish)


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    "secret",
    [
        {"api_key": "upstream-secret"},
        {"headers": {"X-Key": "Token upstream-secret"}},
        {"base_url": "http://me:upstream-secret@HERE/v1"},
        {"proxy": "http://me:upstream-secret@HERE"},
    ],
    ids=lambda secret: next(iter(secret)),
)
async def test_the_log_may_have_the_providers_error_without_secrets(
    provider: FakeProvider, secret: dict[str, Any]
) -> None:
    options = {"base_url": provider.base_url, **secret}
    place = f"127.0.0.1:{provider.port}"  # as a proxy, it answers what it is asked for itself
    for name in options.keys() & {"base_url", "proxy"}:
        options[name] = options[name].replace("HERE", place)
    async with opened(**options) as source:
        error = await fail(source, prompt(model="fake:status=500"))
    assert "internal.example" in error.detail
    assert "upstream-secret" not in error.detail


async def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    with socket.socket() as full:  # a full queue of connections: the next one is not answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            address = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
            async with opened(base_url=address, connect_timeout=0.05) as source:
                error = await fail(source)
    assert error.retryable


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("options", ["stall_after=3", "stall_after=0", "first=60"])
async def test_cancelling_the_reader_ends_the_providers_work(
    provider: FakeProvider, source: OpenAICompatible, options: str
) -> None:
    task = asyncio.create_task(ask(source, prompt(model=f"fake:{options}")))
    await until(lambda: provider.requests)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    (request,) = provider.requests
    await until(request.ended.is_set)
    assert request.closed_early
    assert provider.open == 0


async def test_many_answers_at_once_do_not_wait_for_each_other(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    async def listen(number: int) -> None:
        name = f"fake:tokens={number + 1},stall_after={number + 1}"
        async for event in source.stream(prompt(model=name)):
            said[number] += event.text if isinstance(event, TextDelta) else ""

    said = [""] * 150
    expected = [answer(number + 1) for number in range(150)]
    tasks = [asyncio.create_task(listen(number)) for number in range(150)]
    await until(lambda: said, lambda said: said == expected, "150 answers, each in full")
    assert provider.open == 150
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.promise("no-leak")
async def test_closing_the_source_cuts_its_streams_and_refuses_new_ones(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    stream = source.stream(prompt(model="fake:stall_after=1"))
    assert await anext(stream) == TextDelta("w1 ")
    await source.close()
    with pytest.raises(ModelError) as caught:
        await anext(stream)
    assert caught.value.retryable
    assert (await fail(source)).retryable
    await source.close()


async def test_dropped_repeated_text_is_a_sign_of_life(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    provider.plan("tokens=20,echo,rate=10")
    events = await ask(source, prompt(model="fake:", prefill=answer(15)))
    assert text_of(events) == answer(20).removeprefix(answer(15))
    begun = events.index(TextDelta("w16 "))
    assert Alive("chunk") in events[:begun]


async def test_a_prefill_of_white_space_alone_asks_for_a_new_answer(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    await ask(source, prompt(model="fake:", prefill=" \n"))
    assert provider.requests[0].body["messages"][-1]["role"] == "user"


async def test_a_model_that_cannot_continue_is_not_asked_to(
    provider: FakeProvider, source: OpenAICompatible
) -> None:
    assert source.can_prefill("fake:")
    assert not source.can_prefill("other")
    assert (await fail(source, prompt(model="other", prefill="w1 "))).refused_rung
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
        ({"headers": {"api-key": "{key}"}}, "none is set"),
        ({"fallback_models": ["a/b"]}, "Only OpenRouter"),
        ({"extra_body": {"stream": False}}, "cannot be set"),
        ({"extra_body": {"x": object()}}, "not JSON"),
    ],
)
def test_what_no_request_could_be_made_with_is_refused_at_once(
    arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidSetting, match=says):
        OpenAICompatible(**{"base_url": "http://localhost/v1", **arguments})
