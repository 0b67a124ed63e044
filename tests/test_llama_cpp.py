"""Answers that a llama.cpp server keeps, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.jobs.combined import CombinedJobs
from durable_llm_streams.providers.jobs.llama_cpp import LlamaCppStreams, new_id
from durable_llm_streams.providers.requests.listing import AUTO
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.source import Alive, Event, Finish, Job, JobSource, Prompt, TextDelta, Turn
from tests import asking
from tests.asking import text_of
from tests.fake_provider import KEY, Address, FakeLlama, answer

ID = "dls-0123456789abcdef"
LENGTH = 231  # bytes of three words


@asynccontextmanager
async def keeping(server: FakeLlama, **options: Any) -> AsyncIterator[CombinedJobs]:
    """A source of a process of its own."""
    background = BackgroundModels.parse("*=llama.cpp")
    source = CombinedJobs(
        background=background,
        base_url=server.base_url,
        api_key=KEY,
        new_id=lambda: ID,
        **options,
    )
    try:
        yield source
    finally:
        await source.close()


@pytest.fixture
async def server() -> AsyncIterator[FakeLlama]:
    async with FakeLlama() as fake:
        yield fake


@pytest.fixture
async def source(server: FakeLlama) -> AsyncIterator[CombinedJobs]:
    async with keeping(server) as made:
        yield made


def prompt(job: Job | None = None, model: str = "qwen3", **options: Any) -> Prompt:
    return Prompt(model=model, turns=[Turn("user", "Count.")], job=job, **options)


async def ask(source: LlamaCppStreams, asked: Prompt) -> list[Event]:
    return shown(await asking.ask(source, asked))


async def fail(source: LlamaCppStreams, asked: Prompt) -> tuple[list[Event], ModelError]:
    events, error = await asking.broken_off(source, asked)
    return shown(events), error


async def until_cut(source: LlamaCppStreams, asked: Prompt) -> list[Event]:
    """What came before the connection ended; after the finish reason that is no failure."""
    events, error = await asking.outcome(source, asked)
    if error is None:
        assert text_of(events) == answer(3)
    else:
        assert (error.retryable, error.job_over) == (True, False)
    return shown(events)


def shown(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Alive)]


def last_job(events: list[Event]) -> tuple[Job, int]:
    """The last mark, and where in the events it stands."""
    place = max(place for place, event in enumerate(events) if isinstance(event, Job))
    job = events[place]
    assert isinstance(job, Job)
    return job, place


@pytest.mark.parametrize("model", ["qwen3", AUTO])
async def test_an_answer_has_a_name_before_it_is_asked_for(
    server: FakeLlama, source: CombinedJobs, model: str
) -> None:
    async with aclosing(source.stream(prompt(model=model))) as events:
        assert await anext(events) == Job(ID)
        assert server.asked == []
        rest = shown([event async for event in events])
    assert text_of(rest) == answer(5)
    assert isinstance(rest[-1], Finish)
    assert [headers["X-Conversation-Id"] for headers in server.asked] == [ID]
    assert server.kept[ID].over


@pytest.mark.parametrize(("effort", "thinks"), [(None, False), ("high", True)])
async def test_a_model_that_thinks_in_silence_gets_the_longer_limit(
    server: FakeLlama, effort: str | None, thinks: bool
) -> None:
    async with keeping(server, reasoning_effort=effort) as source:
        assert (Alive("thinking") in await asking.ask(source, prompt())) is thinks


def test_names_cannot_be_guessed() -> None:
    assert [len(name) >= 36 for name in {new_id() for _ in range(100)}] == [True] * 100


@pytest.mark.parametrize(("mark_every", "step"), [(10**9, 1), (100, 2)])
async def test_a_cut_at_any_byte_loses_nothing_and_repeats_nothing(
    server: FakeLlama, mark_every: int, step: int
) -> None:
    server.tokens = 3
    async with keeping(server, mark_every=mark_every) as source:
        for cut in range(1, LENGTH, step):
            server.cuts = [cut]
            began = await until_cut(source, prompt())
            job, place = last_job(began)
            again = await ask(source, prompt(job))
            assert text_of(began[:place]) + text_of(again) == answer(3)
            assert text_of(again).startswith(text_of(began[place:]))
            assert server.read_from.pop() == int(job.mark or 0)
        assert len(b"".join(server.kept[ID].said)) == LENGTH
    assert server.deleted == []


@pytest.mark.parametrize("address", ["path", "query"])
async def test_any_number_of_cuts_is_joined_at_either_address(address: Address) -> None:
    cuts = [250, 90, 330, 0, 161]
    async with (
        FakeLlama(tokens=30, cuts=[*cuts], address=address) as server,
        keeping(server, mark_every=100) as source,
    ):
        asked, said = prompt(), ""
        for _ in cuts:
            events, error = await fail(source, asked)
            assert not error.job_over
            if any(isinstance(event, Job) for event in events):
                job, place = last_job(events)
                said += text_of(events[:place])
                asked = prompt(job)
        assert said + text_of(await ask(source, asked)) == answer(30)
        assert len(server.asked) == 1


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("address", ["path", "query"])
async def test_closing_a_stream_leaves_the_answer_at_work_until_it_is_ended(
    address: Address,
) -> None:
    async with (
        FakeLlama(address=address, tokens=1000, pause=0.01) as server,
        keeping(server) as source,
    ):
        async with aclosing(source.stream(prompt())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert server.at_work == 1
        for _ in range(2):
            await source.cancel(Job(ID))
        assert (server.at_work, server.deleted) == (0, [ID, ID])


@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        (
            '{"error":{"code":"OFFSET_LOST","message":"Stream offset lost","type":"server_error"}}',
            "job-gone",
        ),
        ('{"error":{"code":400,"message":"OFFSET_LOST"}}', "job-gone"),
        ('{"error":{"code":500,"message":"slot failed","type":"server_error"}}', "broken"),
    ],
)
async def test_a_failure_that_is_kept_is_the_jobs_when_it_is_read_again(
    server: FakeLlama, source: CombinedJobs, data: str, meaning: str
) -> None:
    server.ends = (2, data)
    began, error = await fail(source, prompt())
    assert (text_of(began), error.job_over) == (answer(2), False)
    _, error = await fail(source, prompt(Job(ID)))
    assert (error.meaning, error.retryable, error.job_over) == (meaning, True, True)


@pytest.mark.parametrize(
    ("status", "over"),
    [
        *((status, True) for status in (400, 401, 403, 404, 410, 501)),
        *((status, False) for status in (429, 500, 503)),
    ],
)
async def test_a_server_that_is_busy_has_not_refused_the_job(
    server: FakeLlama, source: CombinedJobs, status: int, over: bool
) -> None:
    server.replays, server.cuts = [status], [200]
    await fail(source, prompt())
    _, error = await fail(source, prompt(Job(ID)))
    assert (error.job_over, error.retryable, server.deleted) == (over, True, [ID] * over)


@pytest.mark.parametrize(
    ("status", "retryable", "over"), [(400, False, True), (401, False, True), (503, True, False)]
)
async def test_a_question_that_is_refused_makes_no_job(
    server: FakeLlama, source: CombinedJobs, status: int, retryable: bool, over: bool
) -> None:
    server.status = [status]
    events, error = await fail(source, prompt())
    assert events == [Job(ID)]
    assert (error.retryable, error.job_over) == (retryable, over)


async def test_a_server_that_is_not_there_has_no_job(
    server: FakeLlama, source: CombinedJobs
) -> None:
    await server.__aexit__()
    for job, over in ((None, True), (Job(ID), False)):
        _, error = await fail(source, prompt(job))
        assert (error.retryable, error.job_over) == (True, over)


@pytest.mark.parametrize("options", [{"prefill": "w1 w2 "}, {"continues": True}])
async def test_a_continuation_is_no_job(server: FakeLlama, options: dict[str, Any]) -> None:
    async with keeping(server, prefill=PrefillTable.parse("*")) as source:
        events = await ask(source, prompt(**options))
    assert not any(isinstance(event, Job) for event in events)
    assert not any("X-Conversation-Id" in headers for headers in server.asked)


async def test_both_kinds_of_jobs_live_behind_one_source(server: FakeLlama) -> None:
    background = BackgroundModels.parse("qwen*=llama.cpp, gpt*")
    source = CombinedJobs(background=background, base_url=server.base_url)
    assert isinstance(source, JobSource)
    # `AUTO` first: the server has not been asked yet which model that is.
    for model, is_job in ((AUTO, True), ("qwen3", True), ("other", False)):
        assert isinstance((await ask(source, prompt(model=model)))[0], Job) is is_job
    _, error = await fail(source, prompt(Job("resp_1")))
    assert (error.job_over, server.deleted) == (True, [])
    await source.close()
