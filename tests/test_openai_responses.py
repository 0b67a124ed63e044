"""The source that asks in background mode, over real HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.jobs.openai_responses import OpenAIResponses
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.source import Finish, Job, ReasoningDelta, TextDelta
from tests.asking import ask, broken_off, fail, prompt, text_of
from tests.fake_provider import KEY, FakeProvider, answer
from tests.waiting import until


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
async def source(provider: FakeProvider) -> AsyncIterator[OpenAIResponses]:
    made = OpenAIResponses(
        background=BackgroundModels.parse("fake:*"),
        base_url=provider.base_url,
        api_key=KEY,
        prefill=PrefillTable.parse("fake*"),
        reasoning_effort="low",
        temperature=0,
        extra_body={"service_tier": "flex"},
    )
    yield made
    await made.close()


async def test_an_answer_streams_as_a_job_and_ends_with_what_is_known_of_it(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    events = await ask(source, prompt(model="fake:tokens=2,reasoning=1"))
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert events[:2] == [Job("resp_1", "0"), ReasoningDelta("r1 ")]
    assert text_of(events) == answer(2)
    known = {"model": "fake:tokens=2,reasoning=1-used", "generationId": "resp_1"}
    assert known.items() <= finish.metadata.items(), finish.metadata
    assert finish.metadata["usage"]["reasoningTokens"] == 1
    (request,) = provider.requests
    assert request.path == "responses"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "fake:tokens=2,reasoning=1",
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Count."},
        ],
        "background": True,
        "stream": True,
        "store": True,
        "reasoning": {"effort": "low"},
        "temperature": 0,
        "service_tier": "flex",
    }


async def test_other_models_and_continuations_are_requested_as_usual(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    assert text_of(await ask(source, prompt(model="gpt"))) == (answer(20))
    assert (
        text_of(await ask(source, prompt(model="fake:tokens=5", prefill="w1 w2 "))) == "w3 w4 w5 "
    )
    assert [request.path for request in provider.requests] == ["chat/completions"] * 2
    assert provider.jobs.all == []


async def test_a_reattach_to_a_job_starts_after_its_mark(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    whole = await ask(source, prompt(model="fake:tokens=5"))
    for mark in ("", "0", "3", "5", "7"):
        again = await ask(source, prompt(job=Job("resp_1", mark)))
        rest = answer(5).split()[max(0, int(mark or 0) - 2) :]
        assert text_of(again).split() == rest
        assert again[-1] == whole[-1]
    assert provider.jobs.all[0].listened == [(after, 200) for after in (-1, 0, 3, 5, 7)]
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "options",
    [
        *(f"{fault}_after=2" for fault in ("end", "done", "junk", "chunk", "error")),
        *(f"cut_at={events}" for events in range(1, 9)),
    ],
)
async def test_a_connection_that_fails_leaves_the_job_alone(
    provider: FakeProvider, source: OpenAIResponses, options: str
) -> None:
    asked = prompt(model=f"fake:tokens=5,{options},code=server_error")
    events, error = await broken_off(source, asked)
    assert (error.retryable, error.job_over) == (True, False)
    assert answer(5).startswith(text_of(events))
    if events:
        assert isinstance(events[0], Job)
        assert text_of(await ask(source, prompt(job=events[0]))) == answer(5)
    assert provider.jobs.all[0].cancels == 0


async def test_closing_the_stream_leaves_the_job_running(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    async with aclosing(source.stream(prompt(model="fake:tokens=40,rate=100"))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await (await provider.request()).ended.wait()
    (job,) = provider.jobs.all
    assert (job.status, job.cancels) == ("in_progress", 0)
    assert text_of(await ask(source, prompt(job=Job(job.id)))) == answer(40)


async def test_cancelling_ends_the_job_and_again_does_no_harm(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    asking = asyncio.create_task(broken_off(source, prompt(model="fake:tokens=1000,rate=50")))
    await provider.request()
    await until(lambda: provider.jobs.all[0].events)
    await source.cancel(Job("resp_1"))
    await source.cancel(Job("resp_1"))
    _, error = await asking
    assert error.retryable
    assert (provider.jobs.all[0].status, provider.jobs.all[0].cancels) == ("cancelled", 2)
    await source.cancel(Job("resp_99"))  # an unknown job
    await source.cancel(Job("../chat/completions"))
    assert len(provider.requests) == 1


@pytest.mark.promise("erased")
async def test_a_job_is_deleted_at_the_provider_and_again_does_no_harm(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    await ask(source, prompt(model="fake:tokens=5"))
    for job in ("resp_1", "resp_1", "resp_99", "../chat/completions"):
        await source.delete_job(Job(job))
    assert provider.jobs.all[0].deletes == 2
    error = await fail(source, prompt(job=Job("resp_1")))
    assert error.job_over


@pytest.mark.promise("erased")
@pytest.mark.parametrize(("status", "retryable"), [(403, False), (429, True), (503, True)])
async def test_a_deletion_that_the_provider_refuses_is_a_failure(
    source: OpenAIResponses, status: int, retryable: bool
) -> None:
    await ask(source, prompt(model=f"fake:tokens=5,refuse={status}"))
    with pytest.raises(ModelError) as caught:
        await source.delete_job(Job("resp_1"))
    assert caught.value.retryable is retryable


@pytest.mark.promise("erased")
async def test_a_job_that_is_given_up_is_deleted(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    await ask(source, prompt(model="fake:tokens=5,window=0"))
    await broken_off(source, prompt(job=Job("resp_1", "3")))
    assert provider.jobs.all[0].deletes == 1


@pytest.mark.parametrize("options", ["window=0", "refuse=400", "refuse=410", "refuse=403"])
async def test_a_job_that_the_provider_does_not_give_again_is_over(
    source: OpenAIResponses, options: str
) -> None:
    await ask(source, prompt(model=f"fake:tokens=5,{options}"))
    events, error = await broken_off(source, prompt(job=Job("resp_1", "3")))
    assert (events, error.job_over, error.retryable) == ([], True, True)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_provider_that_is_busy_has_not_refused_the_job(
    source: OpenAIResponses, status: int
) -> None:
    await ask(source, prompt(model=f"fake:tokens=5,refuse={status},retry_after=3"))
    error = await fail(source, prompt(job=Job("resp_1", "3")))
    assert (error.job_over, error.retryable, error.retry_after) == (False, True, 3.0)


async def test_a_provider_that_cannot_be_reached_has_not_refused_the_job(
    source: OpenAIResponses, provider: FakeProvider
) -> None:
    await provider.__aexit__()
    error = await fail(source, prompt(job=Job("resp_1", "3")))
    assert (error.job_over, error.retryable) == (False, True)
    with pytest.raises(ModelError) as caught:
        await source.cancel(Job("resp_1"))
    assert caught.value.retryable


async def test_without_background_mode_the_request_is_plain_and_the_log_notes_it(
    provider: FakeProvider, source: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert text_of(await ask(source, prompt(model="fake:background=refuse"))) == answer(20)
    assert [request.path for request in provider.requests] == ["responses", "chat/completions"]
    assert "not answered in background mode" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("options", "retryable"), [("status=429,retry_after=2", True), ("status=401", False)]
)
async def test_a_refusal_is_the_failure_that_it_is(
    source: OpenAIResponses, provider: FakeProvider, options: str, retryable: bool
) -> None:
    events, error = await broken_off(source, prompt(model=f"fake:{options}"))
    assert (events, error.retryable) == ([], retryable)
    assert len(provider.requests) == 1


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("closes", [False, True])
async def test_a_reader_that_leaves_before_the_job_has_an_id_leaves_no_job(
    provider: FakeProvider, source: OpenAIResponses, closes: bool
) -> None:
    asking = asyncio.ensure_future(anext(source.stream(prompt(model="fake:first=30"))))
    await asyncio.sleep(0)  # it has begun, without content so far
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    if closes:
        await source.close()
        assert provider.jobs.all[0].status == "cancelled"
        with pytest.raises(ModelError, match="shutting down"):
            await source.cancel(Job("resp_1"))
    await until(lambda: any(job.cancels for job in provider.jobs.all))
    assert provider.jobs.all[0].status == "cancelled"


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        (
            " !gpt-5-nano*, GPT-5*,o? ",
            {"gpt-5-mini": "responses", "gpt-5-nano": None, "O3": "responses", "o33": None},
        ),
        (
            "!qwen-tiny, qwen* = llama.cpp, gpt*=responses, *=LLAMA.CPP",
            {"qwen-tiny": None, "Qwen3": "llama.cpp", "gpt-5": "responses", "other": "llama.cpp"},
        ),
    ],
)
def test_the_first_matching_rule_decides_how_a_models_answers_are_kept(
    setting: str, kinds: dict[str, str | None]
) -> None:
    models = BackgroundModels.parse(setting)
    assert {model: models.kind(model) for model in kinds} == kinds


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        *((setting, "names no model") for setting in ("!", "a b", "!!a", "=llama.cpp", "!a=x")),
        *((setting, "names no way") for setting in ("gpt-5=plain", "gpt-5=", "a=llama.cpp=b")),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(setting: str, says: str) -> None:
    with pytest.raises(InvalidSetting, match=says):
        BackgroundModels.parse(setting)
