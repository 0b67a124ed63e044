"""Secrets planted in every setting that may hold one: none is printed, logged or sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from rich.console import Console

from durable_llm_streams.cli.doctor import doctor
from durable_llm_streams.cli.main import main
from durable_llm_streams.cli.settings import Settings, names
from tests.app import Guest
from tests.processes import serving
from tests.redis_servers import RedisServer
from tests.waiting import within

MARK = "planted"
VARIABLES = {name for field in Settings.model_fields for name in names(field)}
SECRET = {
    name for field, info in Settings.model_fields.items() if not info.repr for name in names(field)
}


def planted(name: str) -> str:
    return f"sk-{MARK}-{name.lower().replace('_', '-')}-0123456789"


class Echo:
    """A provider whose errors repeat everything that it was sent. Also a context manager."""

    def __init__(self) -> None:
        self.seen = ""

    async def __aenter__(self) -> str:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.text() or "{}")
        body.pop("messages", None)
        got = f"{request.path_qs} {dict(request.headers)} {body}"
        self.seen += got
        return web.json_response({"error": {"message": got}}, status=400)


async def leaks(environment: Mapping[str, str], folder: Path) -> tuple[str, int]:
    """What a server with these settings logs and sends, and what the doctor says."""
    shown = ""
    async with serving(folder, environment) as server, aiohttp.ClientSession() as session:
        guest = Guest(server.url, session)
        paths = ("/api/models", "/api/chats", "/api/visitor", "/openapi.json", "/healthz", "/")
        readings = [await guest.get(path) for path in paths]
        readings.append(await guest.send())
        readings.append(await guest.get("/api/chats/c1"))
        for reading in readings:
            shown += f"{dict(reading.headers)} {reading.raw!r}"
        assert await server.terminate() == 0
        with pytest.MonkeyPatch.context() as patch:
            for name in VARIABLES:
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            screen = StringIO()
            async with within("the end of the examination"):
                await doctor(Console(file=screen, width=40))
        shown += screen.getvalue() + server.log.read_text()
    return shown, len(readings)


@pytest.mark.promise("no-secrets")
async def test_a_running_server_shows_none_of_its_secrets(tmp_path: Path) -> None:
    echo = Echo()
    password = planted("DLS_STORE")
    async with RedisServer(tmp_path, password=password) as redis, echo as place:
        shown, _ = await leaks(
            {
                "DLS_STORE": f"redis://:{password}@127.0.0.1:{redis.port}/0",
                "OPENAI_BASE_URL": f"http://{planted('user')}:{planted('password')}@{place}/v1"
                f"?api-key={planted('query')}",
                "DLS_PROVIDER_HEADERS": f"X-Team-Key: {planted('header')}",
                "DLS_PROVIDER_BODY": json.dumps({"own": {"token": planted("body")}}),
                "DLS_SYSTEM_PROMPT": planted("prompt"),
                "DLS_MODEL": "m",
            },
            tmp_path,
        )
    for name in ("query", "header", "body"):
        assert planted(name) in echo.seen, "or the test shows nothing"
    assert "[redacted]" in shown
    assert MARK not in shown


@pytest.mark.promise("no-secrets")
async def test_neither_the_key_nor_the_proxys_password_is_shown(tmp_path: Path) -> None:
    echo = Echo()
    async with echo as place:
        shown, _ = await leaks(
            {
                "DLS_STORE": f"sqlite:///{tmp_path}/chats.db",
                "OPENAI_BASE_URL": "http://llm.example.org/v1",
                "OPENAI_API_KEY": planted("key"),
                "DLS_PROVIDER_PROXY": f"http://{planted('user')}:{planted('password')}@{place}",
                "DLS_MODEL": "m",
            },
            tmp_path,
        )
    assert planted("key") in echo.seen
    assert "[redacted]" in shown
    assert MARK not in shown


BAD: list[tuple[str, str]] = [
    *(("OPENAI_BASE_URL", text) for text in ("{}", "u:{}@h/v1", "http://u:{}@", "ftp://u:{}@h")),
    *(("DLS_PROVIDER_PROXY", text) for text in ("socks5://u:{}@h", "http://{}@")),
    *(("DLS_PROVIDER_HEADERS", text) for text in ("{}", "a b: {}")),
    *(("DLS_PROVIDER_BODY", text) for text in ("{}", '{"messages": "{}"}')),
    *(("DLS_STORE", text) for text in ("{}", "mysql://u:{}@h", "redis://:{}", "redis://h:{}")),
    *(("DLS_STORE", text) for text in ("redis://u:/{}@h", "redis://u:?{}@h", "redis://h?x={}")),
    *(("REDIS_URL", text) for text in ("{}", "redis://u:{}@h/x")),
    *((name, "{} {}") for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY")),
    ("OPENAI_API_BASE", "{}"),
    ("UPSTASH_REDIS_REST_URL", "https://u:{}@a.upstash.io"),
    ("UPSTASH_REDIS_REST_TOKEN", "{}"),
    ("DLS_SYSTEM_PROMPT", "{}" * 2000),
]


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(("name", "form"), BAD)
def test_no_refusal_at_the_start_shows_a_secret(
    name: str,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if not name.startswith(("DLS_STORE", "REDIS_URL", "UPSTASH")):
        monkeypatch.setenv("DLS_STORE", f"sqlite:///{tmp_path}/chats.db")
    if name.startswith("DLS_PROVIDER"):
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("DLS_PORT", "0")
    secret = planted(name)
    monkeypatch.setenv(name, form.replace("{}", secret))
    monkeypatch.setattr(sys, "argv", ["dls", "serve"])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr()
    assert (caught.value.code, shown.out) == (2, "")
    assert shown.err.startswith("dls: ")
    assert MARK not in shown.err


@pytest.mark.parametrize("name", sorted(VARIABLES - SECRET))
def test_a_key_in_the_wrong_variable_is_not_printed(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As far as the value can be no name, number or path: those are shown."""
    monkeypatch.setenv(name, planted(name))
    monkeypatch.setattr(sys, "argv", ["dls", "runs"])
    with pytest.raises(SystemExit):
        main()
    assert MARK not in capsys.readouterr().err


def test_every_setting_that_may_hold_a_secret_is_planted() -> None:
    tried: set[Any] = {name for name, _ in BAD}
    assert SECRET - tried == set()
