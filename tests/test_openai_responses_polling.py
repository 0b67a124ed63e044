"""A job that the provider no longer streams is polled; otherwise it is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.jobs.openai_responses import OpenAIResponses
from durable_llm_streams.source import Alive, Event, Finish, Job, Prompt, ReasoningDelta, TextDelta
from tests.asking import ask, broken_off, fail, prompt, text_of
from tests.fake_provider import KEY, FakeProvider, answer
from tests.waiting import until

ALIVE = Alive("chunk")


class Clock:
    """The provider's time: a pause between two polls passes at once."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> float:
        return time.monotonic() + sum(self.pauses)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0.001)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def provider(clock: Clock) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(now=clock.now) as fake:
        fake.jobs.too_old = True
        yield fake


@pytest.fixture
async def source(provider: FakeProvider, clock: Clock) -> AsyncIterator[OpenAIResponses]:
    background = BackgroundModels.parse("*")
    made = OpenAIResponses(
        background=background, base_url=provider.base_url, api_key=KEY, sleep=clock.sleep
    )
    yield made
    await made.close()


def listening(
    *heard: tuple[str, str], before: Sequence[tuple[str, str]] | None = (), mark: str = "2"
) -> Prompt:
    return prompt(model="fake:", job=Job("resp_1", mark), before_mark=before, since_mark=heard)


async def begin(source: OpenAIResponses, options: str) -> list[Event]:
    """Ask for a job whose connection is cut after some words. Returns what was said."""
    return (await broken_off(source, prompt(model=f"fake:{options}")))[0]


async def begin_and_end(provider: FakeProvider, source: OpenAIResponses, options: str) -> None:
    """The same, until the job is over."""
    await begin(source, options)
    await until(lambda: provider.jobs.all and provider.jobs.all[0].over)


async def test_a_job_that_is_too_old_to_stream_is_polled_to_its_end(
    provider: FakeProvider, source: OpenAIResponses, clock: Clock
) -> None:
    await begin(source, "tokens=200,rate=10,cut_after=2")  # it takes 20 s
    events = await ask(source, listening(("text", "w1 "), ("text", "w2 ")))
    assert text_of(events) == answer(200)
    assert isinstance(events[-1], Finish)
    assert events[-1].metadata["usage"]["outputTokens"] == 200
    (job,) = provider.jobs.all
    assert (job.cancels, set(job.polls)) == (0, {200})
    assert len(provider.requests) == 1
    assert events.count(ALIVE) == len(job.polls) - 1 == len(clock.pauses) > 0


async def test_the_pauses_between_polls_grow_from_one_to_ten_seconds(
    source: OpenAIResponses, clock: Clock, provider: FakeProvider
) -> None:
    await begin(source, "tokens=1000,rate=1,cut_at=3")
    polling = asyncio.create_task(broken_off(source, listening()))
    await until(lambda: len(clock.pauses) >= 7)
    await source.cancel(Job("resp_1"))
    await polling
    assert clock.pauses[:7] == [1, 2, 4, 8, 10, 10, 10]


@pytest.mark.parametrize("words", range(6))
@pytest.mark.parametrize("marked", range(3))
async def test_what_the_log_has_of_a_polled_job_is_not_given_twice(
    provider: FakeProvider, source: OpenAIResponses, words: int, marked: int
) -> None:
    await begin_and_end(provider, source, "tokens=5,cut_after=3")
    log = answer(words)
    before, since = log[: marked * 3], log[marked * 3 :]
    asked = listening(
        *([("text", since)] if since else []), before=[("text", before)] if before else []
    )
    assert before + text_of(await ask(source, asked)) == answer(5)


@pytest.mark.parametrize(
    ("before", "heard", "rest"),
    [
        ([], [], [ReasoningDelta("r1 r2 "), TextDelta("w1 w2 ")]),
        ([], [("reasoning", "r1 ")], [ReasoningDelta("r2 "), TextDelta("w1 w2 ")]),
        ([("reasoning", "r1 ")], [], [ReasoningDelta("r2 "), TextDelta("w1 w2 ")]),
        ([("reasoning", "r1 r2 ")], [("text", "w1 ")], [TextDelta("w2 ")]),
        ([("reasoning", "other")], [("text", "w1 ")], [TextDelta("w2 ")]),
        ([("reasoning", "other")], [], [TextDelta("w1 w2 ")]),
        ([("text", "w1 ")], [("text", "w2 ")], []),
    ],
)
async def test_reasoning_is_joined_as_far_as_it_is_the_same(
    provider: FakeProvider,
    source: OpenAIResponses,
    before: list[tuple[str, str]],
    heard: list[tuple[str, str]],
    rest: list[Event],
) -> None:
    await begin_and_end(provider, source, "tokens=2,reasoning=2,cut_after=1")
    events = await ask(source, listening(*heard, before=before))
    assert events[len(heard) : -1] == rest


async def test_a_finished_job_with_another_text_is_over_and_is_discarded(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.jobs.rewrites = "Quite another answer."
    await begin_and_end(provider, source, "tokens=5,cut_after=2")
    events, error = await broken_off(source, listening(("text", answer(2))))
    assert (text_of(events), error.job_over, error.retryable) == (answer(2), True, True)


@pytest.mark.parametrize(
    ("options", "reason"), [("incomplete_after=3", "length"), ("tokens=3", "stop")]
)
async def test_a_polled_answer_has_the_reason_for_its_end(
    source: OpenAIResponses, options: str, reason: str
) -> None:
    await begin(source, f"{options},cut_after=2")
    events = await ask(source, listening(("text", answer(2))))
    assert isinstance(events[-1], Finish)
    assert (text_of(events), events[-1].reason) == (answer(3), reason)


@pytest.mark.parametrize("options", ["fail_after=3", "incomplete_after=3,reason=steered"])
async def test_a_polled_job_that_failed_is_over_and_is_not_ended_again(
    provider: FakeProvider, source: OpenAIResponses, options: str
) -> None:
    await begin(source, f"{options},cut_after=2")
    error = await fail(source, listening(("text", answer(2))))
    assert (error.job_over, error.retryable) == (True, True)
    assert error.metadata["usage"]["outputTokens"] == 3
    assert provider.jobs.all[0].cancels == 0


@pytest.mark.parametrize("status", [400, 403, 404, 405, 1, 2])
async def test_a_job_that_cannot_be_polled_is_ended_before_the_failure(
    provider: FakeProvider, source: OpenAIResponses, status: int
) -> None:
    provider.jobs.polled = [0, 0, status]
    await begin(source, "tokens=1000,rate=50,cut_after=2")
    error = await fail(source, listening(("text", answer(2))))
    assert (error.job_over, error.retryable) == (True, True)
    assert (provider.jobs.all[0].status, provider.jobs.all[0].cancels) == ("cancelled", 1)
    await ask(source, prompt())
    assert provider.jobs.together == 1, "a second job began while the first was at work"


async def test_a_job_with_an_unknown_log_is_cancelled_and_not_polled(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    await begin(source, "tokens=1000,rate=50,cut_after=2")
    for asked in (prompt(job=Job("resp_1", "3")), listening(before=None)):
        assert (await fail(source, asked)).job_over
    assert (provider.jobs.all[0].status, provider.jobs.all[0].polls) == ("cancelled", [])


async def test_polls_with_temporary_failures_are_retried(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.jobs.polled = [503, 429, 500, 502, 0, 502, 502, 502, 502]
    await begin(source, "tokens=800,rate=20,cut_after=2")  # at work still, behind the success
    events = await ask(source, listening(("text", answer(2))))
    assert text_of(events) == answer(800)
    assert provider.jobs.all[0].polls[:4] == [503, 429, 500, 502]


async def test_a_provider_that_is_unreachable_when_polled_has_not_refused_the_job(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.jobs.polled = [503] * 5
    await begin(source, "tokens=1000,rate=50,cut_after=2")
    error = await fail(source, listening(("text", answer(2))))
    assert (error.job_over, error.retryable) == (False, True)
    assert (provider.jobs.all[0].cancels, len(provider.jobs.all[0].polls)) == (0, 5)


async def test_a_job_that_arrives_as_json_is_polled_from_its_start(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.jobs.as_json = True
    events = await ask(source, prompt(model="fake:tokens=20,rate=400"))
    assert next(event for event in events if event != ALIVE) == Job("resp_1", "")
    assert text_of(events) == answer(20)
    again = await ask(source, listening(("text", answer(3)), mark=""))
    assert text_of(again) == answer(20)


async def test_a_job_whose_stream_fails_at_once_is_polled(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.jobs.too_old = False
    await begin_and_end(provider, source, "tokens=5,error_after=2,listeners,code=server_error")
    events = await ask(source, listening(before=[("text", answer(2))], mark="4"))
    assert answer(2) + text_of(events) == answer(5)
    assert (provider.jobs.all[0].listened, provider.jobs.all[0].polls) == ([(4, 200)], [200])


async def test_a_connection_that_fails_before_a_word_is_no_reason_to_poll(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    provider.jobs.too_old = False
    await begin(source, "tokens=5,cut_at=0,listeners")
    error = await fail(source, listening())
    assert (error.job_over, provider.jobs.all[0].polls) == (False, [])


async def test_closing_a_stream_that_polls_leaves_the_job_alone(
    provider: FakeProvider, source: OpenAIResponses
) -> None:
    await begin(source, "tokens=1000,rate=50,cut_after=2")
    stream = source.stream(listening())
    assert await anext(stream) == ALIVE
    await stream.aclose()
    assert (provider.jobs.all[0].status, provider.jobs.all[0].cancels) == ("in_progress", 0)
