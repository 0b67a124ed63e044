"""Settings: environment variables, `DLS_…` and the names that people have set already."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.demo import GoesOn
from durable_llm_streams.runs import Limits
from durable_llm_streams.server.edge import is_loopback
from durable_llm_streams.server.quotas import LONGEST_ANSWER, Quotas
from durable_llm_streams.store import Retention
from durable_llm_streams.stores import is_sqlite, upstash_address

from .owner_settings import LARGEST, OwnerSettings

PREFIX = "DLS_"

_LONGEST_SHOWN = 20  # characters

_ECONOMY_LEASES = 4
_ECONOMY_POLL = 10.0  # seconds

#: Variables with our prefix that are not the server's: of `dls chat`, of the build, of the tests.
_OTHERS = {"DLS_URL", "DLS_WEB", "DLS_CHROMIUM", "DLS_NGINX", "DLS_REDIS_SERVER"}

_LISTS = ("hosts", "cors_origins", "frame_ancestors", "models", "fallback_models")

Seconds = Annotated[float, Field(gt=0, le=LARGEST)]


def _named(*names: str, default: Any, description: str, **more: Any) -> Any:
    return Field(default, validation_alias=AliasChoices(*names), description=description, **more)


class Settings(OwnerSettings):
    """All settings. Each has a default that works."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    store: str = _named(
        "DLS_STORE",
        "REDIS_URL",
        default="sqlite:///data/chats.db",
        description="Where everything is kept: `sqlite:///PATH` (four slashes from the root), or a "
        "Redis: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`; see "
        "docs/redis.md.",
        repr=False,
    )
    upstash_redis_rest_url: str | None = _named(
        "UPSTASH_REDIS_REST_URL",
        default=None,
        description="With the token: everything is kept in this Upstash database, unless DLS_STORE "
        "or REDIS_URL is set.",
    )
    upstash_redis_rest_token: str | None = _named(
        "UPSTASH_REDIS_REST_TOKEN",
        default=None,
        description="The token of that database; not the read-only one.",
        repr=False,
    )
    redis_economy: bool = Field(
        False,
        description="Redis: send fewer commands, for servers that charge for each. Text comes "
        "every half second, and a dead process is noticed after four times DLS_LEASE.",
    )
    store_patience: Seconds = Field(
        60.0, description="Seconds that open streams wait for a store that does not answer."
    )
    sqlite_synchronous: Literal["NORMAL", "FULL"] = Field(
        "NORMAL",
        description="`NORMAL` survives a killed process; `FULL` also a power failure, slower.",
    )
    host: str = Field(
        "127.0.0.1",
        description="The address to listen on. `localhost` is both loopback addresses, `0.0.0.0` "
        "or `[::]` all of the machine.",
    )
    port: int = _named(
        "DLS_PORT", "PORT", default=8000, description="The port to listen on.", ge=0, le=65535
    )
    anonymous: bool = Field(
        False,
        description="`yes`: anybody who reaches this server may use the model provider's key. "
        "Without it, a server with a key that others can reach does not start.",
    )
    base_path: str = Field(
        "",
        description="The path below which everything is served, such as `/chat`, if a proxy "
        "forwards only a part of a site.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins of other sites whose pages may call the API, separated by commas, "
        "such as `https://app.example.org`.",
    )
    frame_ancestors: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins of sites that may show the chat in a frame, separated by commas.",
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="The names by which clients address the server, separated by commas, such as "
        "`chat.example.org` or `*.example.org`; `*` is any. Default: the names of loopback if "
        "DLS_HOST is on loopback, any otherwise; with a provider's key it must be set then.",
    )
    docs: Literal["on", "off"] = Field(
        "on", description="Whether `/docs` and `/openapi.json` describe the API."
    )
    connections_per_address: int = Field(
        200,
        ge=1,
        description="The most connections of one client address, or of one IPv6 network of 64 "
        "bits. Those of loopback and of the proxies in FORWARDED_ALLOW_IPS are not counted.",
    )
    model: str | None = Field(
        None,
        description="The model used when a client names none. Default: `openrouter/auto` with an "
        "OpenRouter key, `gpt-5-mini` with OpenAI, with others a model that the server lists.",
    )
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="More models to offer, separated by commas."
    )
    fallback_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="OpenRouter: models that it tries when the chosen one fails."
    )
    prefill: str = Field(
        "",
        description="Models that can continue their own partial answer after a cut: patterns, "
        "separated by commas; see docs/continuing.md.",
    )
    continue_: Literal["on", "prose", "off"] = _named(
        "DLS_CONTINUE",
        default="on",
        description="Whether models that cannot be prefilled are asked to go on from their partial "
        "answer after a cut: `on`; `prose`: not inside code, nor where the answer is JSON; `off`: "
        "the answer begins again. See docs/continuing.md.",
    )
    background: str = Field(
        "",
        description="Models whose answers the provider keeps while it makes them: patterns, "
        "separated by commas, for OpenAI, and `PATTERN=llama.cpp` for llama.cpp. After a crash "
        "such an answer goes on without repeating a token; see docs/continuing.md.",
    )
    reasoning_effort: str | None = Field(
        None, description="How much models should think: `low`, `medium`, `high`, …"
    )
    context_tokens: int = Field(
        32_000,
        ge=0,
        description="How many tokens of a conversation are sent to the model, by a cautious "
        "estimate: the newest turns, whole. A longer question is refused (413). 0: no limit.",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        description="The longest answer, in tokens: the model stops there. Default: the "
        "provider's.",
    )
    temperature: float | None = Field(
        None,
        ge=0,
        le=LARGEST,
        description="The sampling temperature of the models. Default: the provider's.",
    )
    provider_headers: str = Field(
        "",
        description="More headers for the model provider, such as `api-key: {key}; X-Team: blue`. "
        "`{key}` is replaced by the key, which is then sent in no other header.",
        repr=False,
    )
    provider_body: str = Field(
        "",
        description="More fields of each request to the model provider, as a JSON object.",
        repr=False,
    )
    provider_stream: Literal["auto", "off"] = Field(
        "auto",
        description="`off` asks the model provider for whole answers. They then come at once, at "
        "their end.",
    )
    provider_ca: str | None = Field(
        None,
        description="A file of certificates (PEM) that are trusted for the model provider, in "
        "addition to the system's.",
    )
    provider_proxy: str | None = Field(
        None,
        description="The proxy to the model provider, such as `http://proxy.example.org:3128`; "
        "`off` for none. Default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, not for a "
        "provider on this machine.",
        repr=False,
    )
    provider_config: str | None = Field(
        None,
        description="A TOML file that says how models are asked; see below.",
    )
    system_prompt: str = Field(
        "", description="The system prompt of every conversation.", repr=False
    )
    on_busy: Literal["reject", "queue", "interrupt"] = Field(
        "reject",
        description="What happens to a message that arrives while its chat is being answered: it "
        "is refused (409), waits for the answer, or interrupts it.",
    )
    max_runs: int = Field(
        1000, ge=1, description="The most answers that this process writes at once; more wait."
    )
    max_message_bytes: int = Field(
        256 * 1024, ge=1, description="The longest accepted message, in UTF-8 bytes."
    )
    attempts: int = Field(
        5, ge=1, description="The most attempts for an answer before it fails, takeovers included."
    )
    lease: Seconds = Field(
        5.0, description="Seconds without a heartbeat until another worker takes a run over."
    )
    grace: float = Field(
        5.0,
        ge=0,
        le=LARGEST,
        description="Seconds that a process goes on with its answers after SIGTERM; others then go "
        "on with what is unfinished.",
    )
    first_token_timeout: Seconds = Field(
        120.0,
        description="Seconds that a model may be silent before its first token. Keep-alives of the "
        "provider are signs of life.",
    )
    thinking_timeout: Seconds = Field(
        900.0,
        description="Seconds that a model may take to its first token while there are signs of "
        "life, or while it is known to think in silence.",
    )
    token_timeout: Seconds = Field(
        60.0, description="Seconds that a model may take from one token to the next."
    )
    run_timeout: Seconds = Field(
        3600.0, description="Seconds that an answer may take, all attempts together."
    )
    retention_log: Seconds = Field(
        24 * 3600.0,
        description="Seconds that the log of an ended answer can be followed. Its message stays.",
    )
    retention_chats: float = Field(
        365 * 24 * 3600.0,
        ge=0,
        le=LARGEST,
        description="Seconds after its last change when a chat is deleted; 0 keeps it for ever.",
    )
    visitor_age: Seconds = Field(
        400 * 24 * 3600.0,
        description="Seconds that a visitor's cookie is valid; it is renewed weekly while it is "
        "used.",
    )
    secret_file: str = Field(
        "",
        description="A file with the keys that sign visitors' cookies, one a line: the first one "
        "signs, all verify, and so does the store's own. See docs/http.md.",
    )
    demo_tokens_per_second: float = Field(
        40.0, ge=0, description="The demo model's tokens per second; 0 is unlimited."
    )
    demo_goes_on: GoesOn = Field(
        "exactly",
        description="How the demo goes on after a cut. `exactly`: it accepts a prefill. Otherwise "
        "it must be asked in words: it then goes on exactly (`asked`), `badly`, begins `anew`, or "
        "`never` goes on.",
    )
    app_url: str = Field("", description="OpenRouter attribution: this application's address.")
    app_title: str = Field(
        "Durable LLM Streams", description="OpenRouter attribution: this application's name."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The level of the log on standard error."
    )
    openrouter_api_key: str | None = _named(
        "OPENROUTER_API_KEY", default=None, description="Answers come from OpenRouter.", repr=False
    )
    openai_api_key: str | None = _named(
        "OPENAI_API_KEY",
        default=None,
        description="Answers come from OpenAI, or from OPENAI_BASE_URL.",
        repr=False,
    )
    openai_base_url: str | None = _named(
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        default=None,
        description="Any OpenAI-compatible endpoint, up to `/v1`; a key is optional.",
        repr=False,
    )

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name for name in map(str.strip, value.split(",")) if name)
        return value

    def store_address(self) -> str:
        """The store's address. Raises InvalidSetting for half an Upstash database."""
        url, token = self.upstash_redis_rest_url, self.upstash_redis_rest_token
        if "store" in self.model_fields_set or not (url or token):
            return self.store
        if not (url and token):
            raise InvalidSetting(
                "Of UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN only one is set. "
                "Set both, or neither."
            )
        return upstash_address(url, token)

    def limits(self) -> Limits:
        """The worker's limits."""
        lease, poll = self.lease, Limits().poll
        if self.redis_economy and not is_sqlite(self.store_address()):
            lease, poll = lease * _ECONOMY_LEASES, _ECONOMY_POLL
        return Limits(
            lease=lease,
            grace=self.grace,
            poll=poll,
            concurrent_runs=self.max_runs,
            per_owner=self._or(self.runs_per_owner, Limits().per_owner, 10),
            waiting_per_owner=self._or(self.waiting_per_owner, Limits().waiting_per_owner, 20),
            queue=self.queue,
            attempts=self.attempts,
            context_tokens=self.context_tokens,
            continues=self.continue_,
            first_token=self.first_token_timeout,
            thinking=self.thinking_timeout,
            next_token=self.token_timeout,
            whole_run=self.run_timeout,
        )

    def quotas(self) -> Quotas:
        """How much owners may ask."""
        return Quotas(
            messages_per_hour=self.messages_per_hour,
            tokens_per_day=self.tokens_per_day,
            cost_per_day=self.cost_per_day,
            budget_per_day=self.budget_per_day,
            longest_answer=self.max_tokens or LONGEST_ANSWER,
            streams=self.streams_per_owner,
        )

    def new_visitors_an_hour(self) -> int:
        """How many new visitors of one address may send within an hour; 0 is unlimited."""
        return self._or(self.new_visitors, 0, 60)

    def _or(self, value: int | None, on_loopback: int, elsewhere: int) -> int:
        if value is not None:
            return value
        return on_loopback if is_loopback(self.host) else elsewhere

    def retention(self) -> Retention:
        """How long the store keeps things."""
        return Retention(log=self.retention_log, chat=self.retention_chats)


def names(field: str) -> list[str]:
    """The environment variables that set a field, the first one is ours."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [PREFIX + field.upper()]


def load() -> Settings:
    """Read the environment.

    Raises:
        InvalidSetting: one line for each value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for item in error.errors():
            field = str(item["loc"][0])
            name = field if field.isupper() else names(field)[0]
            lines.append(f"{name}{_shown(item['input'])}: {item['msg']}.")
        raise InvalidSetting("\n".join(lines)) from None


def _shown(value: Any) -> str:
    """A value in an error. A long one may be a key that was put into the wrong variable."""
    text = str(value)
    return f" is {text!r}" if len(text) <= _LONGEST_SHOWN else ""


def unknown() -> list[str]:
    """Variables with our prefix that set nothing: misspelt ones, most likely."""
    known = {name for field in Settings.model_fields for name in names(field)} | _OTHERS
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
