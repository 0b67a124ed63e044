"""The way to a provider: proxies, certificates. Real proxies and real TLS."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from yarl import URL

from durable_llm_streams.cli.provider import provider
from durable_llm_streams.cli.settings import Settings
from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.jobs.combined import CombinedJobs
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.connection import Route
from durable_llm_streams.source import Job
from tests.asking import ask, fail, opened, prompt, text_of
from tests.fake_provider import KEY, FakeProvider, HttpServer, Reply, Request, answer
from tests.http_proxy import HttpProxy

ELSEWHERE = "http://llm.corp.invalid/v1"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *map(str.lower, NAMES), *BUNDLES):
        monkeypatch.delenv(name, raising=False)


async def test_the_proxy_of_the_environment_is_used_with_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeProvider() as fake, HttpProxy(fake.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://me:pass-word@127.0.0.1:{proxy.port}")
        async with opened(base_url=ELSEWHERE) as source:
            assert text_of(await ask(source)) == answer(3)
    ((line, credentials),) = proxy.seen
    assert line == f"POST {ELSEWHERE}/chat/completions HTTP/1.1"
    assert credentials == "basic " + base64.b64encode(b"me:pass-word").decode().lower()


async def test_a_proxy_can_be_set_for_the_provider_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeProvider() as fake, HttpProxy(fake.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        mine = f"http://127.0.0.1:{proxy.port}"
        for base, address in ((ELSEWHERE, mine), (fake.base_url, mine), (fake.base_url, "")):
            async with opened(base_url=base, proxy=address) as source:
                assert text_of(await ask(source)) == answer(3)
    assert [line.split()[1] for line, _ in proxy.seen] == [
        f"{base}/chat/completions" for base in (ELSEWHERE, fake.base_url)
    ]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("address", "no_proxy", "used"),
    [
        ("http://llm.example/v1", "", True),
        ("http://llm.example/v1", "other.example", True),
        ("http://llm.example/v1", "llm.example", False),
        ("http://llm.example/v1", ".example", False),
        ("http://llm.example/v1", "*", False),
        ("http://llm.example:81/v1", "llm.example:81", False),
        ("http://10.1.2.3/v1", "other.example,10.0.0.0/8", False),
        ("http://11.1.2.3/v1", "10.0.0.0/8, x/y", True),
        ("http://localhost:11434/v1", "", False),
        ("http://app.localhost/v1", "", False),
        ("http://127.0.0.2:1/v1", "", False),
        ("http://[::1]:1/v1", "", False),
    ],
)
def test_exceptions_and_this_very_machine_need_no_proxy(
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str, no_proxy: str, used: bool
) -> None:
    monkeypatch.setenv(variable, "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert Route.to(URL(address)).proxy == (URL("http://proxy.example:3128") if used else None)
    if variable != "ALL_PROXY":
        assert Route.to(URL("https://llm.example/v1")).proxy is None, "HTTPS_PROXY is not set"


def test_a_proxy_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy.example:1080")
    with pytest.raises(InvalidSetting, match="only http:// and https://") as caught:
        OpenAICompatible(base_url=ELSEWHERE)
    assert "secret" not in str(caught.value)
    OpenAICompatible(base_url="http://127.0.0.1:1/v1")
    chosen = provider(Settings(OPENAI_BASE_URL=ELSEWHERE, provider_proxy="off"))
    assert isinstance(chosen.source, OpenAICompatible)


@pytest.mark.promise("no-secrets")
async def test_a_missing_proxy_is_reported_without_its_password() -> None:
    async with opened(base_url=ELSEWHERE, proxy="http://me:pass-word@127.0.0.1:1") as source:
        error = await fail(source)
    assert "proxy" in str(error)
    assert error.meaning == "unreachable"
    assert "pass-word" not in f"{error} {error.detail}"


class Moved(HttpServer):
    """Answers every request with a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    async def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply.whole(b"", 307, Location="/elsewhere")


@pytest.mark.promise("no-secrets")
async def test_every_request_carries_the_key_and_none_follows_a_redirect() -> None:
    async with Moved() as server:
        source = CombinedJobs(
            base_url=f"http://127.0.0.1:{server.port}/v1",
            api_key=KEY,
            background=BackgroundModels.parse("job, stream=llama.cpp"),
        )
        jobs = [Job("resp_1"), Job("dls-1")]
        prompts = [prompt(model=model) for model in ("plain", "job", "stream")]
        for asked in [*prompts, *(prompt(job=job, before_mark=()) for job in jobs)]:
            await fail(source, asked)
        for call in (source.models(), *map(source.cancel, jobs)):
            with pytest.raises(ModelError):
                await call
        await source.close()
    seen = {(request.method, request.path) for request in server.requests}
    assert seen == {
        ("POST", "chat/completions"),
        ("POST", "responses"),
        ("GET", "responses/resp_1"),
        ("POST", "responses/resp_1/cancel"),
        ("DELETE", "responses/resp_1"),
        ("GET", "stream/dls-1"),
        ("DELETE", "stream/dls-1"),
        ("GET", "models"),
    }
    keys = {request.headers.get("Authorization") for request in server.requests}
    assert keys == {f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def port(authority: trustme.CA) -> AsyncIterator[int]:
    """The port of a provider with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "llm.corp.invalid").configure_cert(context)
    async with FakeProvider() as fake, fake.also_with(context) as port:
        yield port


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


async def test_certificates_of_ones_own_are_trusted(
    monkeypatch: pytest.MonkeyPatch, port: int, bundle: str
) -> None:
    address = f"https://localhost:{port}/v1"
    async with opened(base_url=address) as source:
        error = await fail(source)
    assert "DLS_PROVIDER_CA" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", False)
    async with opened(base_url=address, ca_file=bundle) as source:
        assert text_of(await ask(source)) == answer(3)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    async with opened(base_url=address) as source:
        assert text_of(await ask(source)) == answer(3)


async def test_tls_to_a_server_without_it_names_the_address() -> None:
    async with (
        FakeProvider() as fake,
        opened(base_url=f"https://127.0.0.1:{fake.port}/v1") as source,
    ):
        error = await fail(source)
    assert "OPENAI_BASE_URL" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", False)


async def test_tls_goes_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, port: int, bundle: str
) -> None:
    async with HttpProxy(port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with opened(base_url="https://llm.corp.invalid/v1", ca_file=bundle) as source:
            assert text_of(await ask(source)) == answer(3)
    assert [line for line, _ in proxy.seen] == ["CONNECT llm.corp.invalid:443 HTTP/1.1"]


@pytest.mark.parametrize("content", [None, "this is no certificate"])
def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidSetting, match="DLS_PROVIDER_CA") as caught:
        OpenAICompatible(base_url="https://h/v1", ca_file=str(path))
    assert str(path) in str(caught.value)


def test_certificates_of_other_programs_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", "/no/such/file.pem")
    OpenAICompatible(base_url="https://h/v1")
    assert "CURL_CA_BUNDLE" in caplog.text
