"""Settings: their defaults, their effect, their names, and what cannot be one."""

from __future__ import annotations

import gc
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.cli import serve
from durable_llm_streams.cli.listening import listen
from durable_llm_streams.cli.provider import OPENAI_URL, provider
from durable_llm_streams.cli.settings import Settings, load, names, unknown
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.demo import DEMO_MODEL, Demo
from durable_llm_streams.providers.kept.llama_cpp import LlamaCppStreams
from durable_llm_streams.providers.kept.openai_responses import OpenAIResponses
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.runs import Limits
from durable_llm_streams.server import ServerConfig, create_app
from durable_llm_streams.server.state import Context
from durable_llm_streams.stores import without_password

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"
DAY = 24 * 3600.0


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the one who runs the tests has set does not count."""
    every = {name for field in Settings.model_fields for name in names(field)}
    for name in os.environ:
        if name.startswith("DLS_") or name.upper() in every:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


class Stop(Exception):
    """Raised where serving would begin."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `dls serve` would be made of: it is put together as ever and ends before it serves."""
    found: dict[str, Any] = {}

    def catch_app(store: Any, worker: Any, config: Any) -> Any:
        found.update(worker=worker, config=config, store=store)
        return create_app(store, worker, config)

    def catch_server(config: Any, app: Any) -> Any:
        assert isinstance(app.state.durable, Context)
        found.update(uvicorn=config)
        raise Stop

    monkeypatch.setattr(serve, "create_app", catch_app)
    monkeypatch.setattr(serve, "Server", catch_server)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    monkeypatch.setenv("DLS_PORT", "0")
    return found


def put_together(made: dict[str, Any]) -> tuple[Limits, ServerConfig, Any]:
    with pytest.raises(Stop):
        serve.serve()
    return made["worker"].limits, made["config"], made["worker"]


def test_without_any_setting_the_demo_answers_from_an_embedded_store(
    made: dict[str, Any], tmp_path: Path
) -> None:
    limits, config, worker = put_together(made)
    assert limits == Limits()
    assert config == ServerConfig(models=config.models)
    assert [(model.id, model.demo) for model in config.models] == [(DEMO_MODEL, True)]
    assert isinstance(worker._source, Demo)
    assert worker._system == ""
    assert (tmp_path / "data" / "chats.db").is_file()


def test_the_defaults() -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.sqlite_synchronous == "NORMAL"
    assert settings.log_level == "info"
    assert settings.demo_tokens_per_second == 40
    assert (settings.retention_log, settings.retention_chats) == (DAY, 365 * DAY)


@pytest.mark.parametrize(
    ("variable", "value", "limit", "seen"),
    [
        ("DLS_MAX_RUNS", "7", "concurrent_runs", 7),
        ("DLS_ATTEMPTS", "2", "attempts", 2),
        ("DLS_LEASE", "2.5", "lease", 2.5),
        ("DLS_FIRST_TOKEN_TIMEOUT", "3", "first_token", 3.0),
        ("DLS_THINKING_TIMEOUT", "700", "thinking", 700.0),
        ("DLS_CONTINUE", "prose", "continues", "prose"),
        ("DLS_TOKEN_TIMEOUT", "4", "next_token", 4.0),
        ("DLS_RUN_TIMEOUT", "5", "whole_run", 5.0),
        ("DLS_RETENTION_LOG", "60", "log_age", 60.0),
        ("DLS_RETENTION_CHATS", "0", "chat_age", 0.0),
    ],
)
def test_a_limit_reaches_the_worker(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, limit: str, seen: float
) -> None:
    monkeypatch.setenv(variable, value)
    limits = load().limits()
    assert getattr(limits, limit) == seen
    changed = {
        name
        for name in Limits.__struct_fields__
        if getattr(limits, name) != getattr(Limits(), name)
    }
    assert changed == {limit}


def test_the_rest_reaches_the_server_the_worker_and_the_store(
    monkeypatch: pytest.MonkeyPatch, made: dict[str, Any], tmp_path: Path
) -> None:
    for name, value in {
        "DLS_STORE": f"sqlite:///{tmp_path}/other/file.db",
        "DLS_SQLITE_SYNCHRONOUS": "FULL",
        "DLS_HOST": "127.0.0.2",
        "DLS_SYSTEM_PROMPT": "Be brief.",
        "DLS_ON_BUSY": "queue",
        "DLS_MAX_MESSAGE_BYTES": "99",
        "DLS_DEMO_TOKENS_PER_SECOND": "0",
        "DLS_MAX_RUNS": "3",
    }.items():
        monkeypatch.setenv(name, value)
    limits, config, worker = put_together(made)
    assert limits.concurrent_runs == 3
    assert (config.on_busy, config.max_message_bytes) == ("queue", 99)
    assert worker._system == "Be brief."
    assert worker._source._interval == 0
    assert (tmp_path / "other" / "file.db").is_file()


def test_openrouter_answers_when_its_key_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENROUTER_API_KEY": "sk-or-secret",
        "OPENAI_API_KEY": "sk-other",
        "DLS_MODEL": "a/b",
        "DLS_MODELS": " c/d, a/b ,, e/f ",
        "DLS_FALLBACK_MODELS": "g/h,i/j",
        "DLS_REASONING_EFFORT": "low",
        "DLS_PREFILL": "a/*",
        "DLS_APP_URL": "https://chat.example",
        "DLS_APP_TITLE": "Chat",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.fallback_models == ("g/h", "i/j")
    chosen = provider(settings)
    assert chosen.name == "OpenRouter"
    assert isinstance(chosen.source, OpenAICompatible)
    assert [model.id for model in chosen.models] == ["a/b", "c/d", "e/f"]
    assert chosen.source.can_prefill("a/b")
    assert not chosen.source.can_prefill("c/d")


@pytest.mark.parametrize(
    ("environment", "name", "model"),
    [
        ({"OPENROUTER_API_KEY": "k"}, "OpenRouter", "openrouter/auto"),
        ({"OPENAI_API_KEY": "k"}, OPENAI_URL, "gpt-5-mini"),
        ({"OPENAI_BASE_URL": "http://localhost:8080/v1"}, "http://localhost:8080/v1", "auto"),
        ({"OPENAI_API_BASE": "http://localhost:8080/v1"}, "http://localhost:8080/v1", "auto"),
        (
            {"OPENAI_BASE_URL": "https://openrouter.ai/api/v1", "OPENAI_API_KEY": "k"},
            "https://openrouter.ai/api/v1",
            "openrouter/auto",
        ),
        (
            {"OPENAI_BASE_URL": "http://localhost:1/v1", "DLS_MODELS": "a,b"},
            "http://localhost:1/v1",
            "a",
        ),
        (
            {"OPENAI_BASE_URL": "http://localhost:1/v1", "OPENAI_API_KEY": "k", "DLS_MODEL": "m"},
            "http://localhost:1/v1",
            "m",
        ),
    ],
)
def test_the_keys_that_are_set_choose_the_provider(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str, model: str
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    chosen = provider(load())
    assert (chosen.name, chosen.models[0].id, chosen.models[0].demo) == (name, model, False)


def test_the_port_has_the_name_that_platforms_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    assert load().port == 1234
    monkeypatch.setenv("DLS_PORT", "2345")
    assert load().port == 2345
    monkeypatch.setenv("DLS_PORT", "")
    assert load().port == 1234


def test_small_writes_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop sets TCP_NODELAY only on connections whose protocol is named."""
    monkeypatch.setenv("DLS_PORT", "0")
    settings = load()
    listeners = listen(settings.host, settings.port)
    try:
        assert {listener.proto for listener in listeners} == {socket.IPPROTO_TCP}
    finally:
        for listener in listeners:
            listener.close()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load()
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.setenv(name, "")
    assert load() == defaults
    assert provider(load()).models[0].demo


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DLS_PORT", "x"),
        ("DLS_PORT", "-1"),
        ("DLS_PORT", "65536"),
        ("DLS_PORT", "80.5"),
        ("PORT", "http"),
        ("DLS_LEASE", "0"),
        ("DLS_LEASE", "-1"),
        ("DLS_LEASE", "nan"),
        ("DLS_LEASE", "inf"),
        ("DLS_RUN_TIMEOUT", "1e300"),
        ("DLS_RETENTION_LOG", "0"),
        ("DLS_RETENTION_LOG", "1e300"),
        ("DLS_RETENTION_CHATS", "-1"),
        ("DLS_RETENTION_CHATS", "1e300"),
        ("DLS_RETENTION_CHATS", "nan"),
        ("DLS_MAX_RUNS", "0"),
        ("DLS_MAX_MESSAGE_BYTES", "0"),
        ("DLS_ATTEMPTS", "0"),
        ("DLS_ON_BUSY", "panic"),
        ("DLS_SQLITE_SYNCHRONOUS", "OFF"),
        ("DLS_LOG_LEVEL", "loud"),
        ("DLS_DEMO_TOKENS_PER_SECOND", "-1"),
        ("DLS_DEMO_TOKENS_PER_SECOND", "nan"),
        ("DLS_MAX_TOKENS", "0"),
        ("DLS_MAX_TOKENS", "many"),
        ("DLS_TEMPERATURE", "-1"),
        ("DLS_TEMPERATURE", "nan"),
        ("DLS_PROVIDER_STREAM", "on"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSetting) as caught:
        load()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert re.match(r"(DLS_)?\w*PORT is|" + variable + " is", sentence)
    assert repr(value) in sentence


def test_every_value_that_cannot_be_used_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLS_PORT", "x")
    monkeypatch.setenv("DLS_LEASE", "y")
    with pytest.raises(InvalidSetting) as caught:
        load()
    assert [line.split()[0] for line in str(caught.value).split("\n")] == ["DLS_PORT", "DLS_LEASE"]


@pytest.mark.promise("no-secrets")
def test_keys_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    settings = load()
    assert settings.openrouter_api_key == "sk-or-secret"
    for shown in (repr(settings), str(settings), repr(provider(settings))):
        assert "secret" not in shown


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLS_PROT", "1")
    monkeypatch.setenv("DLS_PORT", "1")
    monkeypatch.setenv("DLS_URL", "http://localhost")  # of `dls chat`
    assert unknown() == ["DLS_PROT"]


def test_every_setting_has_a_description_that_is_a_sentence() -> None:
    for field, info in Settings.model_fields.items():
        assert info.description, field
        assert info.description.rstrip("`").endswith((".", "…")), field


def test_every_setting_is_in_the_documentation() -> None:
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", DOCS.read_text(encoding="utf-8")))
    variables = {name for field in Settings.model_fields for name in names(field)}
    assert variables - documented == set()
    ours = {name for name in documented if name.startswith("DLS_")}
    assert ours - variables - {"DLS_URL"} == set()


def test_a_redis_is_found_under_every_name_that_people_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", "https://able-cat.upstash.io")
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", "to/ken=")
    upstash = "rediss://default:to%2Fken%3D@able-cat.upstash.io:6379"
    assert load().store_address() == upstash
    monkeypatch.setenv("REDIS_URL", "redis://one")
    assert load().store_address() == "redis://one"
    monkeypatch.setenv("DLS_STORE", "redis://two")
    assert load().store_address() == "redis://two"


@pytest.mark.parametrize("name", ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"])
def test_half_of_an_upstash_database_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "https://able-cat.upstash.io")
    with pytest.raises(InvalidSetting, match="only one is set"):
        load().store_address()


def test_economy_is_for_redis_and_makes_heartbeats_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLS_REDIS_ECONOMY", "1")
    assert load().limits() == Limits()
    monkeypatch.setenv("REDIS_URL", "redis://one")
    limits = load().limits()
    assert limits.lease == 4 * Limits().lease
    assert limits.poll > 10 * Limits().poll


@pytest.mark.promise("no-secrets")
def test_the_secrets_of_a_store_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", "hidden-token")
    assert "hidden-token" not in repr(load())
    for address in (
        "redis://:hidden@h/0",
        "rediss://user:hidden@h:6379",
        "redis+sentinel://:hidden@h1,h2/main?sentinel_password=hidden",
    ):
        assert "hidden" not in without_password(address)
        monkeypatch.setenv("DLS_STORE", address)
        assert "hidden" not in repr(load())
    assert without_password("redis://h:6379/0") == "redis://h:6379/0"
    assert without_password("sqlite:///data/chats.db") == "sqlite:///data/chats.db"


def test_models_are_asked_in_background_mode_where_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert type(provider(load()).source) is OpenAICompatible
    monkeypatch.setenv("DLS_BACKGROUND", "!gpt-5-nano, gpt-5*")
    source = provider(load()).source
    assert isinstance(source, OpenAIResponses)
    assert isinstance(source, LlamaCppStreams)
    asked = ("gpt-5-mini", "gpt-5-nano", "gpt-4o")
    assert [source._background.kind(model) for model in asked] == ["responses", None, None]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OPENROUTER_API_KEY": "k"}, "OpenRouter keeps no answers"),
        ({"OPENAI_BASE_URL": "https://openrouter.ai/api/v1"}, "OpenRouter keeps no answers"),
        ({}, "Set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "k", "DLS_BACKGROUND": "a b"}, "names no model"),
    ],
)
def test_background_mode_is_refused_where_nobody_keeps_answers(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: str
) -> None:
    for name, value in {"DLS_BACKGROUND": "gpt-5*", **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting, match=says) as caught:
        provider(load())
    assert "DLS_BACKGROUND" in str(caught.value)
