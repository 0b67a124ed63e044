"""In which dialect a provider is asked: the table, and what refusals teach. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from yarl import URL

from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.dialect import Dialect, Dialects, Row
from durable_llm_streams.providers.requests.learning import Lessons
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.providers.requests.request import RequestOptions
from durable_llm_streams.providers.requests.turns import messages
from durable_llm_streams.source import Alive, Turn
from tests.asking import ask, fail, opened, text_of
from tests.fake_provider import FakeProvider, Refusal, answer


def dialect(address: str, model: str = "m") -> Dialect:
    return Dialects(URL(address)).of(model)


@pytest.mark.parametrize(
    ("address", "model", "field", "value"),
    [
        ("https://openrouter.ai/api/v1", "a/b", "effort", "reasoning"),
        ("https://openrouter.ai/api/v1", "a/b", "stream_options", False),
        ("https://openrouter.ai/api/v1", "openai/o3", "max_tokens", "max_tokens"),
        ("https://api.openai.com/v1", "o3-mini", "max_tokens", "max_completion_tokens"),
        ("https://api.openai.com/v1", "gpt-4o", "max_tokens", "max_tokens"),
        ("https://x.openai.azure.com/openai/deployments/d?api-version=1", "m", "key", "api-key"),
        ("https://api.mistral.ai/v1", "mistral-small-latest", "stream_options", False),
        ("https://api.mistral.ai/v1", "mistral-small-latest", "prefill", "mistral"),
        ("https://dbc-1.cloud.databricks.com/serving-endpoints", "m", "stream_options", False),
        ("https://api.deepseek.com/beta", "deepseek-chat", "prefill", "mistral"),
        ("https://api.deepseek.com/v1", "deepseek-chat", "prefill", None),
        ("http://localhost:11434/v1", "llama3.2", "stream_options", True),
        ("http://localhost:8000/v1", "google/gemma-2-9b-it", "system", False),
        ("http://localhost:8000/v1", "gemma3:4b", "system", False),
        ("http://localhost:8000/v1", "deepseek-ai/DeepSeek-R1", "thinks", True),
        ("https://api.openai.com/v1", "gpt-5-mini", "thinks", True),
        ("https://openrouter.ai/api/v1", "anthropic/claude-3.7-sonnet:thinking", "thinks", True),
        ("http://localhost:8000/v1", "olmo3", "thinks", False),
        ("https://evil.example/?openrouter.ai", "m", "fallbacks", False),
    ],
)
def test_the_table_has_what_well_known_providers_document(
    address: str, model: str, field: str, value: Any
) -> None:
    assert getattr(dialect(address, model), field) == value


def test_later_rows_win_and_their_headers_and_fields_add_up() -> None:
    rows = [
        Row({"headers": {"X-A": "1"}, "body": {"top_p": 1, "seed": 1}}),
        Row({"headers": {"X-B": "2"}, "body": {"seed": 2}}, "host.example:81"),
        Row({"stream": False}, "host.example:81/v1", "*llama*"),
        Row({"temperature": False}, "host.example:82"),
    ]
    found = Dialects(URL("http://Host.example:81/v1"), rows)
    assert found.of("meta/Llama-3").headers == {"X-A": "1", "X-B": "2"}
    assert found.of("meta/Llama-3").body == {"top_p": 1, "seed": 2}
    assert (found.of("meta/Llama-3").stream, found.of("other").stream) == (False, True)
    assert found.of("other").temperature


def test_turns_can_be_sent_and_those_without_text_are_left_out_but_the_last() -> None:
    said = ["a\ud83db \ud83d\ude00", " \n", "Two?", "2", ""]
    turns = [Turn("assistant" if at % 2 else "user", text) for at, text in enumerate(said)]
    assert messages(turns) == [
        {"role": "user", "content": "a\ufffdb \U0001f600\n\nTwo?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": ""},
    ]


def names(field: str) -> Refusal:
    """Refuses a field, as Mistral and others do."""

    def judge(body: dict[str, Any]) -> tuple[int, Any] | None:
        if field not in body:
            return None
        message = f"{field}: Extra inputs are not permitted"
        return 422, {"error": {"message": message, "type": "invalid_request_error"}}

    return judge


def o_series(body: dict[str, Any]) -> tuple[int, Any] | None:
    if "max_tokens" in body:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        return 400, {"error": {"message": message, "code": "unsupported_parameter"}}
    return None


def no_system(body: dict[str, Any]) -> tuple[int, Any] | None:
    if body["messages"][0]["role"] != "system":
        return None
    return 400, {"object": "error", "message": "System role not supported", "code": 400}


def test_a_model_that_begins_inside_a_thought_is_remembered() -> None:
    lessons = Lessons(Dialects(URL("http://host.example/v1")), RequestOptions())
    before = lessons.dialect("m")
    lessons.begins_thinking("m")
    assert lessons.dialect("m") == replace(before, begins_thinking=True)
    assert lessons.dialect("other") == before


async def test_refusals_teach_four_things_about_this_model_and_no_fifth() -> None:
    refusals = [names("stream_options"), o_series, names("temperature"), no_system]
    options: dict[str, Any] = {"max_tokens": 9, "temperature": 0, "reasoning_effort": "low"}
    async with (
        FakeProvider(refusals=refusals) as provider,
        opened(base_url=provider.base_url, **options) as source,
    ):
        assert text_of(await ask(source)) == answer(3)
        assert source.changes("fake:tokens=3") == (
            "without `stream_options`",
            "with `max_completion_tokens`",
            "without `temperature`",
            "without a system role",
        )
        assert source.changes("other") == ()
        assert len(provider.requests) == 5, "the question, and once more for each lesson"
        refusals.append(names("reasoning_effort"))
        await fail(source)
        assert len(provider.requests) == 6, "what was learned is remembered, and nothing more"
    assert provider.requests[-1].body == {
        "model": "fake:tokens=3",
        "messages": [{"role": "user", "content": "Be brief.\n\nCount."}],
        "stream": True,
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize(
    ("options", "thinks"),
    [
        ({}, False),
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"rows": [Row({"thinks": True}, model="fake*")]}, True),
        ({"rows": [Row({"stream": False})]}, True),
    ],
)
async def test_a_model_that_thinks_in_silence_gets_the_longer_limit(
    options: dict[str, Any], thinks: bool
) -> None:
    async with FakeProvider() as provider, opened(base_url=provider.base_url, **options) as source:
        events = await ask(source)
    assert (events[0] == Alive("thinking")) is thinks


@pytest.mark.parametrize(
    ("options", "can"),
    [
        ({}, True),
        ({"continues": False}, False),
        ({"extra_body": {"response_format": {"type": "json_object"}}}, False),
        ({"rows": [Row({"body": {"response_format": {"type": "json_schema"}}})]}, False),
        ({"extra_body": {"response_format": {"type": "text"}}}, True),
    ],
)
def test_models_may_be_asked_to_continue_unless_they_answer_in_json(
    options: dict[str, Any], can: bool
) -> None:
    assert OpenAICompatible(base_url="http://h/v1", **options).can_continue("m") is can


@pytest.mark.parametrize(
    ("address", "prefill", "model", "can"),
    [
        ("https://api.mistral.ai/v1", "", "mistral-small-latest", True),
        ("https://api.mistral.ai/v1", "!mistral*", "mistral-small-latest", False),
        ("https://api.mistral.ai/v1", "none", "mistral-small-latest", False),
        ("https://other.example/v1", "", "mistral-small-latest", False),
    ],
)
def test_a_host_can_declare_that_its_models_continue_an_answer(
    address: str, prefill: str, model: str, can: bool
) -> None:
    source = OpenAICompatible(base_url=address, prefill=PrefillTable.parse(prefill))
    assert source.can_prefill(model) is can
