"""Models that a server lists, where none is set: Ollama and its kin by their address alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durable_llm_streams.cli.provider import provider, with_models
from durable_llm_streams.cli.settings import Settings
from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.listing import AUTO, model_ids
from durable_llm_streams.providers.requests.request import base_address
from tests.asking import ask, fail, opened, prompt, text_of
from tests.fake_provider import KEY, FakeProvider, answer

OLLAMA = ["nomic-embed-text:latest", "llama3.2:latest", "qwen3:4b"]


@pytest.mark.parametrize(
    ("document", "ids"),
    [
        ({"object": "list", "data": [{"id": name} for name in OLLAMA]}, OLLAMA[1:]),
        ([{"id": "a/chat", "type": "chat"}], ["a/chat"]),
        ({"models": [{"name": "m.gguf", "model": "m.gguf"}]}, ["m.gguf"]),
        ({"data": [{"id": "whisper-1"}, {"id": "tts-1"}, {"id": "m"}, {"id": "m"}]}, ["m"]),
        ({"data": [{"id": "text-embedding-3-small"}]}, ["text-embedding-3-small"]),
        ({"data": [{"id": 7}, "x", {"id": ""}, {"id": "x" * 999}, {}]}, []),
        ({"object": "list", "data": None}, []),
        ({"error": "Unexpected endpoint or method."}, None),
        ("text", None),
        (None, None),
    ],
)
def test_a_list_of_models_is_read_in_every_form(document: Any, ids: list[str] | None) -> None:
    assert model_ids(json.dumps(document)) == ids
    assert model_ids("<html>") is None


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


async def test_at_most_fifty_models_of_the_server_are_offered() -> None:
    async with FakeProvider(models=[f"m{number}" for number in range(99)]) as fake:
        for model, count in ((None, 50), ("m", 1)):
            named = provider(settings(OPENAI_BASE_URL=fake.base_url, model=model))
            chosen = await with_models(named)
            assert len(chosen.models) == count
            await chosen.source.close()


async def test_a_server_that_is_down_at_the_start_is_listed_at_the_first_question() -> None:
    async with FakeProvider() as fake:
        port = fake.port
    chosen = await with_models(provider(settings(OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1")))
    assert [model.id for model in chosen.models] == [AUTO]
    source = chosen.source
    assert isinstance(source, OpenAICompatible)
    asked = prompt(model=AUTO)
    assert (await fail(source, asked)).retryable
    async with FakeProvider(port, models=OLLAMA) as fake:
        for _ in range(2):
            assert text_of(await ask(source, asked)) == answer(20)
        assert [request.body["model"] for request in fake.requests] == [OLLAMA[1]] * 2
        assert fake.listed == 1
        assert source.can_prefill(AUTO) == source.can_prefill(OLLAMA[1])
    await source.close()


async def test_a_model_that_disappeared_is_looked_up_again() -> None:
    async with (
        FakeProvider(models=["first"]) as fake,
        opened(base_url=fake.base_url) as source,
    ):
        await ask(source, prompt(model=AUTO))
        fake.models = ["second"]
        fake.plan("status=404")
        await fail(source, prompt(model=AUTO))
        await ask(source, prompt(model=AUTO))
    assert [request.body["model"] for request in fake.requests] == ["first", "first", "second"]


@pytest.mark.promise("no-secrets")
async def test_the_list_is_asked_for_with_the_key() -> None:
    async with FakeProvider(models=["m"], requires="api-key") as fake:
        headers = {"api-key": "{key}"}
        async with opened(base_url=fake.base_url, api_key=KEY, headers=headers) as source:
            assert await source.models() == ["m"]
        async with opened(base_url=fake.base_url, api_key=KEY) as source:
            with pytest.raises(ModelError) as caught:
                await source.models()
    assert "key" in str(caught.value)
    assert KEY not in f"{caught.value} {caught.value.detail}"


async def test_a_deployment_in_the_address_is_the_model() -> None:
    async with opened(base_url="https://x.openai.azure.com/openai/deployments/mine") as source:
        assert await source.models() == ["mine"]


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("http://h/v1/chat/completions/", "http://h/v1"),
        ("http://h/v1/models", "http://h/v1"),
        ("http://h/v1/responses", "http://h/v1"),
        (" http://h/v1/completions ", "http://h/v1"),
        ("https://h/d/x/chat/completions?api-version=1", "https://h/d/x?api-version=1"),
        ("http://h/v1/", "http://h/v1"),
        ("http://h", "http://h/"),
    ],
)
def test_the_address_of_an_endpoint_is_cut_to_its_base(written: str, base: str) -> None:
    assert str(base_address(written)).rstrip("/") == base.rstrip("/")


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("localhost:1234/v1", "http://localhost:1234/v1"),
        ("api.example.org/v1", "https://api.example.org/v1"),
        ("me:secret@host/v1", "https://openrouter.ai/api/v1"),
        ("//host/v1", "https://openrouter.ai/api/v1"),
    ],
)
def test_an_address_without_a_scheme_is_refused_with_the_right_form(
    written: str, instead: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        base_address(written)
    assert instead in str(caught.value)
    assert "secret" not in str(caught.value)
