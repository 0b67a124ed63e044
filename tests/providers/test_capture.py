"""`dls capture`: what a provider answers becomes a case, and that case comes to the same."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from durable_llm_streams.cli.capture import capture
from durable_llm_streams.cli.captured_case import Masker, case
from durable_llm_streams.cli.main import QUESTION
from durable_llm_streams.cli.recording import Exchange, Read
from durable_llm_streams.errors import InvalidRequest
from tests.providers.body import whole
from tests.providers.case import CORPUS, Answer, Case, Expect, load
from tests.providers.raw_provider import RawProvider
from tests.providers.verdict import differences
from tests.providers.walk import environ, walk
from tests.test_cli import dls

KEY = "sk-corpus-secret-key"
#: One of each form that an answer has.
NAMES = [
    "end/stop-and-done",
    "text/invalid-utf-8",
    "text/surrogates-over-two-deltas",
    "sse/cr",
    "sse/chunked",
    "json/whole-answer",
    "files/too-large",
    "cut/reset-in-a-line",
    "cut/chunked-without-its-end",
    "dialect/stream-options-422",
    "failure/rate-now-every-time",
    "failure/bad-key-no-body",
    "failure/too-long-after-text",
    "failure/broken-502-page",
    "wait/milliseconds-header",
    "address/listed-model",
    "job/whole",
]


async def captured(
    of: Case,
    folder: Path,
    patch: pytest.MonkeyPatch,
    question: str = QUESTION,
    settings: Mapping[str, str] | None = None,
) -> tuple[str, Path]:
    """Capture what a case's provider answers. Gives what the command prints, and the file."""
    path = folder / "text" / "captured.toml"
    path.parent.mkdir(exist_ok=True)
    printed = io.StringIO()
    own = {"OPENAI_API_KEY": KEY, **of.settings, **(settings or {})}
    async with RawProvider(of, {"folder": str(folder)}) as provider:
        environ(own, provider.values, patch)
        console = Console(file=printed, width=1000)
        await asyncio.to_thread(capture, console, path, question)
    return printed.getvalue(), path


@pytest.mark.parametrize("name", NAMES)
async def test_a_captured_answer_is_a_case_with_the_same_result(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed, path = await captured(load(CORPUS / f"{name}.toml"), tmp_path, monkeypatch)
    assert printed.startswith(f"{path}: ")
    assert KEY not in path.read_text()
    found = load(path)
    (outcome,) = await walk(found, tmp_path, monkeypatch)
    assert differences(found.expectations[0], outcome) == {}, path.read_text()


async def test_secrets_are_written_over_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [KEY, "blue-team-token", "gsk_somebody-elses-key"]
    body = f'{{"error":{{"message":"no: {" ".join(secrets)}","code":400}}}}'
    odd = {"Set-Cookie": "session=abcdef", "X-Request-Id": "private-id", "Retry-After": "3"}
    answer = Answer(status=400, type="application/json", headers=odd, body=body)
    of = Case(title="", kind="failure", answer=[answer], expect=Expect())
    settings = {"DLS_PROVIDER_HEADERS": "Authorization: Bearer {key}; X-Team: blue-team-token"}
    printed, path = await captured(of, tmp_path, monkeypatch, f"Is {KEY} a key?", settings)
    text = path.read_text()
    for secret in [*secrets, "abcdef", "private-id"]:
        assert secret not in text
    (found,) = load(path).answer
    assert len(whole(found, {})) == len(body)
    assert found.headers == {"Retry-After": "3"}
    assert KEY not in printed


async def test_nothing_is_asked_where_no_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").mkdir()
    path = tmp_path / "text" / "captured.toml"
    path.write_text("mine")
    with pytest.raises(InvalidRequest, match="exists already"):
        await captured(load(CORPUS / "end/stop-and-done.toml"), tmp_path, monkeypatch)
    assert path.read_text() == "mine"
    with pytest.raises(InvalidRequest, match="its folder does not exist"):
        capture(Console(), tmp_path / "no" / "x.toml", QUESTION)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "No model provider is set"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "DLS_MODEL": "m"}, "cannot be reached"),
        ({"OPENAI_BASE_URL": "nonsense"}, "address"),
    ],
)
async def test_a_provider_that_cannot_be_asked_is_one_line(
    environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    ended = await dls("capture", str(tmp_path / "x.toml"), environment=environment)
    assert (ended.status, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


async def test_a_silent_provider_is_captured_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"DLS_FIRST_TOKEN_TIMEOUT": "0.3"}
    for name in ("alive/no-head-at-all", "alive/silence-between-tokens"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        of = load(CORPUS / f"{name}.toml")
        _, path = await captured(of, folder, monkeypatch, settings=settings)
        (answer,) = load(path).answer
        assert answer.steps[-1] == msgspec.convert({"hang": True}, type(answer.steps[-1]))


def test_any_bytes_survive_the_file(tmp_path: Path) -> None:
    every = bytes(range(256)) * 2 + b"''' '''' \\x41 @{port} \\u0041 '" + "é😀".encode()
    exchange = Exchange("POST", "/v1/chat/completions")
    exchange.status = 200
    exchange.reads = [Read(0, every[:100]), Read(0.3, every[100:]), Read(0, b"'")]
    expect: dict[str, Any] = {"text": "\x7f\x00\u2028'\"\\"}
    text = case([exchange], question="Hi", settings={}, expect=expect, mask=Masker([]))
    path = tmp_path / "text" / "x.toml"
    path.parent.mkdir()
    path.write_text(text)
    found = load(path)
    assert whole(found.answer[0], {}) == every + b"'"
    assert found.expectations[0].text == expect["text"]


def test_a_secret_that_two_reads_share_is_written_over() -> None:
    exchange = Exchange("POST", "/v1/chat/completions")
    exchange.status = 200
    exchange.reads = [Read(0, b"key: top-sec"), Read(0, b"ret, done")]
    text = case([exchange], question="", settings={}, expect={}, mask=Masker(["top-secret"]))
    assert "'''\nkey: xxxxxxx'''" in text
    assert "'''\nxxx, done'''" in text
