"""Settings: their defaults, their effect, their names, and what cannot be one."""

from __future__ import annotations

import gc
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.cli import serve
from durable_llm_streams.cli.listening import listen
from durable_llm_streams.cli.provider import OPENAI_URL, provider
from durable_llm_streams.cli.settings import Settings, load, names, unknown
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.demo import DEMO_MODEL, Demo
from durable_llm_streams.providers.jobs.llama_cpp import LlamaCppStreams
from durable_llm_streams.providers.jobs.openai_responses import OpenAIResponses
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.runs import Limits
from durable_llm_streams.server import ServerConfig, create_app
from durable_llm_streams.server.state import AppState
from durable_llm_streams.store import Bounds, Retention
from durable_llm_streams.stores import without_password

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"
DAY = 24 * 3600.0
LOCAL = "http://localhost:8080/v1"
OPENROUTER_URL = "https://openrouter.ai/api/v1"
VARIABLES = {name for field in Settings.model_fields for name in names(field)}

Given = Callable[..., Settings]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of the person who runs the tests does not count."""
    for name in os.environ:
        if name.startswith("DLS_") or name.upper() in VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Sets variables, beside those that are set already, and loads the settings."""

    def given(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load()

    return given


class Stop(Exception):
    """Raised where serving would begin."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Puts together what `dls serve` consists of, and ends before it serves."""
    found: dict[str, Any] = {}

    def catch_app(store: Any, worker: Any, config: Any, *, keys: Any) -> Any:
        found.update(worker=worker, config=config, limits=worker.limits, keys=keys)
        return create_app(store, worker, config, keys=keys)

    def catch_server(config: Any, app: Any) -> Any:
        assert isinstance(app.state.durable, AppState)
        raise Stop

    def put_together() -> dict[str, Any]:
        with pytest.raises(Stop):
            serve.serve()
        return found

    monkeypatch.setattr(serve, "create_app", catch_app)
    monkeypatch.setattr(serve, "Server", catch_server)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    monkeypatch.setenv("DLS_PORT", "0")
    return put_together


def test_without_any_setting_the_demo_answers_from_an_embedded_store(
    made: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    server = made()
    assert server["limits"] == Limits()
    models = server["config"].models
    assert server["config"] == ServerConfig(models=models, hosts=("127.0.0.1",))
    assert [(model.id, model.demo) for model in models] == [(DEMO_MODEL, True)]
    assert isinstance(server["worker"]._executor._source, Demo)
    assert server["worker"]._executor._system == ""
    assert (tmp_path / "data" / "chats.db").is_file()


def test_the_defaults_also_where_variables_are_empty(given: Given) -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.sqlite_synchronous, settings.log_level) == ("NORMAL", "info")
    assert settings.demo_tokens_per_second == 40
    assert (settings.retention_log, settings.retention_chats) == (DAY, 365 * DAY)
    assert given(**dict.fromkeys(VARIABLES, "")) == settings
    assert provider(load()).models[0].demo


@pytest.mark.parametrize(
    ("variable", "value", "limit"),
    [
        ("DLS_MAX_RUNS", 7, "concurrent_runs"),
        ("DLS_ATTEMPTS", 2, "attempts"),
        ("DLS_LEASE", 2.5, "lease"),
        ("DLS_FIRST_TOKEN_TIMEOUT", 3, "first_token"),
        ("DLS_THINKING_TIMEOUT", 700, "thinking"),
        ("DLS_CONTINUE", "prose", "continues"),
        ("DLS_TOKEN_TIMEOUT", 4, "next_token"),
        ("DLS_RUN_TIMEOUT", 5, "whole_run"),
    ],
)
def test_a_limit_reaches_the_worker(given: Given, variable: str, value: object, limit: str) -> None:
    limits = given(**{variable: str(value)}).limits()
    values = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    assert values.items() - {(each, getattr(Limits(), each)) for each in values} == {(limit, value)}


def test_retention_reaches_the_store(given: Given) -> None:
    settings = given(DLS_RETENTION_LOG="60", DLS_RETENTION_CHATS="0")
    assert settings.retention() == Retention(log=60, chat=0)


def test_the_rest_reaches_the_server_the_worker_and_the_store(
    given: Given, made: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    given(
        DLS_STORE=f"sqlite:///{tmp_path}/other/file.db",
        DLS_SQLITE_SYNCHRONOUS="FULL",
        DLS_HOST="127.0.0.2",
        DLS_SYSTEM_PROMPT="Be brief.",
        DLS_ON_BUSY="queue",
        DLS_MAX_MESSAGE_BYTES="99",
        DLS_DEMO_TOKENS_PER_SECOND="0",
        DLS_MAX_RUNS="3",
        DLS_RETENTION_LOG="70",
        DLS_VISITOR_AGE="86400",
        DLS_SECRET_FILE=str(tmp_path / "keys"),
    )
    (tmp_path / "keys").write_text(f"{'a' * 64}\n")
    server = made()
    config, worker = server["config"], server["worker"]
    assert server["limits"].concurrent_runs == 3
    assert (config.cookie_age, server["keys"]) == (86400, [b"a" * 64])
    assert (config.on_busy, config.max_message_bytes) == ("queue", 99)
    assert (worker._executor._system, worker._executor._source._interval) == ("Be brief.", 0)
    assert (tmp_path / "other" / "file.db").is_file()
    assert worker._store.expiry.retention.log == 70


def test_openrouter_answers_when_its_key_is_set(given: Given) -> None:
    settings = given(
        OPENROUTER_API_KEY="sk-or-secret",
        OPENAI_API_KEY="sk-other",
        DLS_MODEL="a/b",
        DLS_MODELS=" c/d, a/b ,, e/f ",
        DLS_FALLBACK_MODELS="g/h,i/j",
        DLS_REASONING_EFFORT="low",
        DLS_PREFILL="a/*",
        DLS_APP_URL="https://chat.example",
        DLS_APP_TITLE="Chat",
    )
    assert settings.fallback_models == ("g/h", "i/j")
    chosen = provider(settings)
    assert chosen.name == "OpenRouter"
    assert isinstance(chosen.source, OpenAICompatible)
    assert [model.id for model in chosen.models] == ["a/b", "c/d", "e/f"]
    assert [chosen.source.can_prefill(model) for model in ("a/b", "c/d")] == [True, False]


@pytest.mark.parametrize(
    ("environment", "name", "model"),
    [
        ("OPENROUTER_API_KEY=k", "OpenRouter", "openrouter/auto"),
        ("OPENAI_API_KEY=k", OPENAI_URL, "gpt-5-mini"),
        (f"OPENAI_BASE_URL={LOCAL}", LOCAL, "auto"),
        (f"OPENAI_API_BASE={LOCAL}", LOCAL, "auto"),
        (f"OPENAI_BASE_URL={OPENROUTER_URL} OPENAI_API_KEY=k", OPENROUTER_URL, "openrouter/auto"),
        (f"OPENAI_BASE_URL={LOCAL} DLS_MODELS=a,b", LOCAL, "a"),
        (f"OPENAI_BASE_URL={LOCAL} OPENAI_API_KEY=k DLS_MODEL=m", LOCAL, "m"),
    ],
)
def test_the_keys_that_are_set_choose_the_provider(
    given: Given, environment: str, name: str, model: str
) -> None:
    chosen = provider(given(**dict(each.split("=", 1) for each in environment.split())))
    assert (chosen.name, chosen.models[0].id, chosen.models[0].demo) == (name, model, False)


def test_the_port_has_the_name_that_platforms_set(given: Given) -> None:
    assert given(PORT="1234").port == 1234
    assert given(DLS_PORT="2345").port == 2345
    assert given(DLS_PORT="").port == 1234


def test_small_writes_leave_at_once() -> None:
    """The event loop sets TCP_NODELAY only on connections whose protocol is named."""
    listeners = listen("127.0.0.1", 0)
    try:
        assert {listener.proto for listener in listeners} == {socket.IPPROTO_TCP}
    finally:
        for listener in listeners:
            listener.close()


UNUSABLE = """
    DLS_PORT=x DLS_PORT=-1 DLS_PORT=65536 DLS_PORT=80.5 PORT=http
    DLS_LEASE=0 DLS_LEASE=-1 DLS_LEASE=nan DLS_LEASE=inf DLS_RUN_TIMEOUT=1e300
    DLS_RETENTION_LOG=0 DLS_RETENTION_LOG=1e300
    DLS_RETENTION_CHATS=-1 DLS_RETENTION_CHATS=1e300 DLS_RETENTION_CHATS=nan
    DLS_MAX_RUNS=0 DLS_MAX_MESSAGE_BYTES=0 DLS_ATTEMPTS=0 DLS_ON_BUSY=panic
    DLS_SQLITE_SYNCHRONOUS=OFF DLS_LOG_LEVEL=loud
    DLS_DEMO_TOKENS_PER_SECOND=-1 DLS_DEMO_TOKENS_PER_SECOND=nan
    DLS_MAX_TOKENS=0 DLS_MAX_TOKENS=many DLS_TEMPERATURE=-1 DLS_TEMPERATURE=nan
    DLS_PROVIDER_STREAM=on
"""


@pytest.mark.parametrize("assignment", UNUSABLE.split())
def test_a_value_that_cannot_be_used_is_named_in_one_line(given: Given, assignment: str) -> None:
    variable, value = assignment.split("=")
    with pytest.raises(InvalidSetting) as caught:
        given(**{variable: value})
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert re.match(rf"(DLS_)?\w*PORT is|{variable} is", sentence), sentence
    assert repr(value) in sentence


def test_every_value_that_cannot_be_used_has_its_line(given: Given) -> None:
    with pytest.raises(InvalidSetting) as caught:
        given(DLS_PORT="x", DLS_LEASE="y")
    assert [line.split()[0] for line in str(caught.value).split("\n")] == ["DLS_PORT", "DLS_LEASE"]


def test_a_misspelt_variable_is_noticed(given: Given) -> None:
    given(DLS_PROT="1", DLS_PORT="1", DLS_URL="http://localhost")  # the last one of `dls chat`
    assert unknown() == ["DLS_PROT"]


def test_every_setting_is_described_in_a_sentence_and_in_the_documentation() -> None:
    said = {field: info.description or "" for field, info in Settings.model_fields.items()}
    assert [field for field, text in said.items() if text.rstrip("`")[-1:] not in (".", "…")] == []
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", DOCS.read_text(encoding="utf-8")))
    assert VARIABLES - documented == set()
    ours = {name for name in documented if name.startswith("DLS_")}
    assert ours - VARIABLES - {"DLS_URL"} == set()


def test_a_redis_is_found_under_every_name_that_people_use(given: Given) -> None:
    upstash = given(
        UPSTASH_REDIS_REST_URL="https://able-cat.upstash.io", UPSTASH_REDIS_REST_TOKEN="to/ken="
    )
    assert upstash.store_address() == "rediss://default:to%2Fken%3D@able-cat.upstash.io:6379"
    assert given(REDIS_URL="redis://one").store_address() == "redis://one"
    assert given(DLS_STORE="redis://two").store_address() == "redis://two"


@pytest.mark.parametrize("name", ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"])
def test_half_of_an_upstash_database_is_refused(given: Given, name: str) -> None:
    settings = given(**{name: "https://able-cat.upstash.io"})
    with pytest.raises(InvalidSetting, match="only one is set"):
        settings.store_address()


def test_economy_is_for_redis_and_makes_heartbeats_rare(given: Given) -> None:
    assert given(DLS_REDIS_ECONOMY="1").limits() == Limits()
    limits = given(REDIS_URL="redis://one").limits()
    assert limits.lease == 4 * Limits().lease
    assert limits.poll > 10 * Limits().poll


@pytest.mark.promise("no-secrets")
def test_keys_and_passwords_are_shown_nowhere(given: Given) -> None:
    settings = given(
        OPENROUTER_API_KEY="sk-or-hidden",
        OPENAI_API_KEY="sk-hidden",
        UPSTASH_REDIS_REST_TOKEN="hidden-token",
    )
    assert settings.openrouter_api_key == "sk-or-hidden"
    for shown in (repr(settings), str(settings), repr(provider(settings))):
        assert "hidden" not in shown
    for address in (
        "redis://:hidden@h/0",
        "rediss://user:hidden@h:6379",
        "redis+sentinel://:hidden@h1,h2/main?sentinel_password=hidden",
    ):
        assert "hidden" not in without_password(address)
        assert "hidden" not in repr(given(DLS_STORE=address))
    for open_address in ("redis://h:6379/0", "sqlite:///data/chats.db"):
        assert without_password(open_address) == open_address


def test_models_use_background_mode_where_that_is_set(given: Given) -> None:
    assert type(provider(given(OPENAI_API_KEY="k")).source) is OpenAICompatible
    source = provider(given(DLS_BACKGROUND="!gpt-5-nano, gpt-5*")).source
    assert isinstance(source, OpenAIResponses)
    assert isinstance(source, LlamaCppStreams)
    asked = ("gpt-5-mini", "gpt-5-nano", "gpt-4o")
    assert [source._background.kind(model) for model in asked] == ["responses", None, None]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OPENROUTER_API_KEY": "k"}, "OpenRouter keeps no answers"),
        ({"OPENAI_BASE_URL": OPENROUTER_URL}, "OpenRouter keeps no answers"),
        ({}, "Set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "k", "DLS_BACKGROUND": "a b"}, "names no model"),
    ],
)
def test_background_mode_is_refused_where_no_answers_are_kept(
    given: Given, environment: dict[str, str], says: str
) -> None:
    settings = given(**{"DLS_BACKGROUND": "gpt-5*", **environment})
    with pytest.raises(InvalidSetting, match=f"DLS_BACKGROUND.*{says}|{says}.*DLS_BACKGROUND"):
        provider(settings)


@pytest.mark.parametrize(
    ("host", "per_owner", "waiting", "visitors"),
    [("127.0.0.1", 500, 5000, 0), ("localhost", 500, 5000, 0), ("[::1]", 500, 5000, 0),
     ("0.0.0.0", 10, 20, 60), ("[::]", 10, 20, 60), ("chat.example.org", 10, 20, 60)],
)  # fmt: skip
def test_bounds_of_visitors_are_tighter_where_others_can_connect(
    given: Given, host: str, per_owner: int, waiting: int, visitors: int
) -> None:
    settings = given(DLS_HOST=host)
    limits = settings.limits()
    found = (limits.per_owner, limits.waiting_per_owner, settings.new_visitors_an_hour())
    assert found == (per_owner, waiting, visitors)
    bounds = {"DLS_RUNS_PER_OWNER": "3", "DLS_WAITING_PER_OWNER": "0", "DLS_NEW_VISITORS": "7"}
    settings = given(DLS_HOST=host, DLS_QUEUE="5", **bounds)
    assert settings.limits().bounds == Bounds(running=3, active=3, waiting=5)
    assert settings.new_visitors_an_hour() == 7
