"""In which dialect a provider is asked: the table, and what refusals teach. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.dialect import Dialect, Dialects, Row
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.providers.requests.turns import messages
from durable_llm_streams.runs.source import Alive, Finish, Turn
from tests.asking import ask, fail, opened, prompt, text_of
from tests.fake_provider import KEY, FakeProvider, Refusal, answer

THINKING = Alive("thinking")


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
def test_the_table_knows_what_well_known_providers_document(
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


def test_neighbours_are_joined_and_turns_without_text_left_out() -> None:
    turns = [
        Turn("system", "Be brief."),
        Turn("user", "One?"),
        Turn("assistant", " \n"),
        Turn("user", "Two?"),
        Turn("assistant", "2"),
        Turn("user", "Three?"),
    ]
    assert messages(turns) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?\n\nTwo?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "Three?"},
    ]
    assert messages(turns, system=False)[0] == {
        "role": "user",
        "content": "Be brief.\n\nOne?\n\nTwo?",
    }
    assert messages([Turn("user", "One?"), Turn("user", "")])[-1]["role"] == "user"


async def test_lone_halves_of_characters_can_be_sent() -> None:
    async with FakeProvider() as provider, opened(base_url=provider.base_url) as source:
        await ask(source, prompt(Turn("user", "a\ud83db \ud83d\ude00")))
        (request,) = provider.requests
    assert request.body["messages"] == [{"role": "user", "content": "a\ufffdb \U0001f600"}]


def names(field: str) -> Refusal:
    """Refuses a field, as Mistral and others do."""

    def judge(body: dict[str, Any]) -> tuple[int, Any] | None:
        if field not in body:
            return None
        message = f"{field}: Extra inputs are not permitted"
        return 422, {"error": {"message": message, "type": "invalid_request_error"}}

    return judge


def unverified(body: dict[str, Any]) -> tuple[int, Any] | None:
    if not body["stream"]:
        return None
    message = "Your organization must be verified to stream this model."
    error = {"message": message, "param": "stream", "code": "unsupported_value"}
    return 400, {"error": error}


def o_series(body: dict[str, Any]) -> tuple[int, Any] | None:
    if "max_tokens" in body:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        return 400, {"error": {"message": message, "code": "unsupported_parameter"}}
    return names("max_completion_tokens")(body) if body["model"].startswith("old") else None


def no_system(body: dict[str, Any]) -> tuple[int, Any] | None:
    if body["messages"][0]["role"] != "system":
        return None
    return 400, {"object": "error", "message": "System role not supported", "code": 400}


def alternating(body: dict[str, Any]) -> tuple[int, Any] | None:
    roles = [message["role"] for message in body["messages"]]
    if roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        return None
    message = "Conversation roles must alternate user/assistant/user/assistant/..."
    return 400, {"error": {"message": message, "code": 400}}


@pytest.mark.parametrize(
    ("refusal", "options", "change"),
    [
        (names("stream_options"), {}, "without `stream_options`"),
        (names("temperature"), {"temperature": 0.5}, "without `temperature`"),
        (names("reasoning_effort"), {"reasoning_effort": "low"}, "without `reasoning_effort`"),
        (names("max_tokens"), {"max_tokens": 99}, "with `max_completion_tokens`"),
        (o_series, {"max_tokens": 99}, "with `max_completion_tokens`"),
        (unverified, {}, "without streaming"),
        (no_system, {}, "without a system role"),
        (alternating, {}, "without a system role"),
    ],
)
async def test_what_is_refused_is_left_out_once_and_for_all(
    refusal: Refusal, options: dict[str, Any], change: str
) -> None:
    async with (
        FakeProvider(refusals=[refusal]) as provider,
        opened(base_url=provider.base_url, **options) as source,
    ):
        assert text_of(await ask(source)) == answer(3)
        assert len(provider.requests) == 2
        assert source.changes("fake:tokens=3") == (change,)
        assert text_of(await ask(source)) == answer(3)
        assert len(provider.requests) == 3
        assert provider.requests[1].body == provider.requests[2].body
        assert source.changes("other") == ()


async def test_two_refusals_in_a_row_are_both_learned_from() -> None:
    refusals = [names("stream_options"), o_series, names("temperature"), no_system]
    async with (
        FakeProvider(refusals=refusals) as provider,
        opened(base_url=provider.base_url, max_tokens=9, temperature=0) as source,
    ):
        assert text_of(await ask(source)) == answer(3)
        assert len(source.changes("fake:tokens=3")) == 4
    sent = provider.requests[-1].body
    assert sent == {
        "model": "fake:tokens=3",
        "messages": [{"role": "user", "content": "Be brief.\n\nCount."}],
        "stream": True,
        "max_completion_tokens": 9,
    }


async def test_a_limit_that_has_no_name_is_left_out() -> None:
    async with (
        FakeProvider(refusals=[o_series]) as provider,
        opened(base_url=provider.base_url, max_tokens=9) as source,
    ):
        await ask(source, prompt(model="old"))
    limits = {"max_tokens", "max_completion_tokens"}
    assert [limits & set(each.body) for each in provider.requests] == [
        {"max_tokens"},
        {"max_completion_tokens"},
        set(),
    ]


async def test_a_limit_above_the_models_own_is_left_out() -> None:
    def judge(body: dict[str, Any]) -> tuple[int, Any] | None:
        message = "max_tokens is too large: 999999. This model supports at most 16384 tokens."
        error = {"message": message, "param": "max_tokens", "code": "invalid_value"}
        return (400, {"error": error}) if "max_tokens" in body else None

    async with (
        FakeProvider(refusals=[judge]) as provider,
        opened(base_url=provider.base_url, max_tokens=999_999) as source,
    ):
        assert text_of(await ask(source)) == answer(3)
        assert source.changes("fake:tokens=3") == ("without `max_tokens`",)


async def test_a_refusal_inside_a_success_teaches_as_well() -> None:
    def judge(body: dict[str, Any]) -> tuple[int, Any] | None:
        refused = names("stream_options")(body)
        return None if refused is None else (200, refused[1])

    async with (
        FakeProvider(refusals=[judge]) as provider,
        opened(base_url=provider.base_url) as source,
    ):
        assert text_of(await ask(source)) == answer(3)
        assert len(provider.requests) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"extra_body": {"temperature": 1}},  # the operator's own field
        {},  # a field that was never sent
    ],
)
async def test_what_this_package_did_not_add_is_not_changed(options: dict[str, Any]) -> None:
    def judge(_: dict[str, Any]) -> tuple[int, Any]:
        return names("temperature")({"temperature": 1}) or (500, None)

    async with (
        FakeProvider(refusals=[judge]) as provider,
        opened(base_url=provider.base_url, **options) as source,
    ):
        error = await fail(source)
        assert len(provider.requests) == 1
    assert not error.retryable


async def test_an_order_that_no_change_would_mend_is_refused_at_once() -> None:
    def judge(_: dict[str, Any]) -> tuple[int, Any]:
        return 400, {"error": {"message": "Conversation roles must alternate", "code": 400}}

    async with FakeProvider(refusals=[judge]) as fake, opened(base_url=fake.base_url) as source:
        error = await fail(source, prompt(Turn("user", "One?")))
        assert len(fake.requests) == 1
    assert error.meaning == "roles"


async def test_a_provider_that_refuses_whatever_it_gets_is_soon_left_alone() -> None:
    async with (
        FakeProvider(refusals=[lambda _: names("stream_options")({"stream_options": 1})]) as fake,
        opened(base_url=fake.base_url) as source,
    ):
        await fail(source)
        assert len(fake.requests) == 2
        await fail(source)
        assert len(fake.requests) == 3


async def test_an_unanswered_question_does_not_spoil_a_strict_chat() -> None:
    turns = [Turn("user", "One?"), Turn("user", "Two?")]
    async with (
        FakeProvider(refusals=[alternating]) as provider,
        opened(base_url=provider.base_url) as source,
    ):
        assert text_of(await ask(source, prompt(*turns))) == answer(3)
        assert len(provider.requests) == 1


async def test_the_key_travels_in_the_header_that_the_provider_wants() -> None:
    rows = [Row({"key": "api-key", "headers": {"X-Team": "blue"}}, "127.0.0.1")]
    async with FakeProvider(requires="api-key") as provider:
        async with opened(base_url=provider.base_url, api_key=KEY) as source:
            error = await fail(source)
            assert not error.retryable
        async with opened(base_url=provider.base_url, api_key=KEY, rows=rows) as source:
            assert text_of(await ask(source)) == answer(3)
        headers = {"api-key": "{key}", "X-Team": "red"}
        async with opened(base_url=provider.base_url, api_key=KEY, headers=headers) as source:
            assert text_of(await ask(source)) == answer(3)
    sent = [request.headers for request in provider.requests[1:]]
    assert ["Authorization" in headers for headers in sent] == [False, False]
    assert [headers["X-Team"] for headers in sent] == ["blue", "red"]


async def test_the_operators_fields_are_sent() -> None:
    rows = [Row({"body": {"top_p": 0.5, "seed": 1}}, model="fake*")]
    async with (
        FakeProvider() as provider,
        opened(
            base_url=provider.base_url,
            rows=rows,
            max_tokens=7,
            temperature=0,
            extra_body={"seed": 2},
        ) as source,
    ):
        await ask(source)
    sent = provider.requests[0].body
    assert {name: sent[name] for name in ("top_p", "seed", "max_tokens", "temperature")} == {
        "top_p": 0.5,
        "seed": 2,
        "max_tokens": 7,
        "temperature": 0,
    }


async def test_an_answer_that_is_not_streamed_has_the_longer_limit() -> None:
    async with (
        FakeProvider() as provider,
        opened(base_url=provider.base_url, rows=[Row({"stream": False})]) as source,
    ):
        events = await ask(source)
        assert provider.requests[0].body["stream"] is False
        assert "stream_options" not in provider.requests[0].body
    assert events[0] == THINKING
    assert text_of(events) == answer(3)
    assert isinstance(events[-1], Finish)
    assert events[-1].metadata["usage"]["outputTokens"] == 3


@pytest.mark.parametrize(
    ("options", "thinks"),
    [
        ({}, False),
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"rows": [Row({"thinks": True}, model="fake*")]}, True),
    ],
)
async def test_a_model_that_thinks_in_silence_gets_the_longer_limit(
    options: dict[str, Any], thinks: bool
) -> None:
    async with FakeProvider() as provider, opened(base_url=provider.base_url, **options) as source:
        events = await ask(source)
    assert (events[0] == THINKING) is thinks


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "This model does not support assistant message prefill."}}),
        (200, {"error": {"code": 400, "message": "Provider returned error"}}),
        (404, {"error": {"code": 404, "message": "No endpoints found that support prefill"}}),
        (422, {"detail": "last message must be from user"}),
    ],
)
@pytest.mark.parametrize("rung", [{"said": "w1 "}, {"continues": True}])
async def test_a_way_to_go_on_that_is_refused_is_told_apart(
    status: int, body: Any, rung: dict[str, Any]
) -> None:
    async with (
        FakeProvider(refusals=[lambda _: (status, body)]) as provider,
        opened(base_url=provider.base_url, prefill=PrefillTable.parse("fake*")) as source,
    ):
        error = await fail(source, prompt(**rung))
        assert error.refused_rung
        error = await fail(source)
        assert not error.refused_rung


async def test_going_on_may_add_nothing() -> None:
    async with FakeProvider() as provider, opened(base_url=provider.base_url) as source:
        events = await ask(source, prompt(model="fake:empty", continues=True))
    assert text_of(events) == ""
    assert isinstance(events[-1], Finish)


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
def test_models_may_be_asked_to_go_on_unless_they_answer_in_json(
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
def test_a_host_can_say_that_its_models_continue_an_answer(
    address: str, prefill: str, model: str, can: bool
) -> None:
    source = OpenAICompatible(base_url=address, prefill=PrefillTable.parse(prefill))
    assert source.can_prefill(model) is can


def test_a_header_for_a_key_that_is_missing_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="none is set"):
        OpenAICompatible(base_url="http://h/v1", headers={"api-key": "{key}"})
