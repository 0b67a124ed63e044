"""The `dls` command, in processes of its own: what it prints, and how it refuses to start."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from typer.testing import CliRunner

from durable_llm_streams._version import __version__
from durable_llm_streams.cli.main import app, main
from durable_llm_streams.cli.settings import Settings, names
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.stores import open_store, sqlite_path
from tests.app import Guest, Reading, read_until
from tests.processes import serving
from tests.waiting import within


class Ended(NamedTuple):
    status: int
    out: str
    err: str


async def started(*arguments: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """A `dls` that was just begun."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "durable_llm_streams", *arguments),
        env={**inherited, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """What a `dls` has printed by its end."""
    try:
        async with within("the end of dls"):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def dls(*arguments: str, environment: Mapping[str, str]) -> Ended:
    """Run `dls` to its end."""
    return await ended(await started(*arguments, environment=environment))


def assert_refused(ended: Ended, *words: str) -> None:
    (line, *more) = ended.err.splitlines() or [""]
    assert (ended.status, ended.out, more, line[:5]) == (2, "", [], "dls: "), ended
    assert [word for word in words if word not in line] == [], line


def test_help_and_version_name_every_command_and_the_package() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("serve", "chat", "runs", "tail", "doctor", "capture", "migrate", "settings"):
        assert command in result.output
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"dls {__version__}\n")


def test_the_settings_are_listed_whole_where_no_screen_cuts_them() -> None:
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    for field, info in Settings.model_fields.items():
        assert info.description is not None
        (line,) = [line for line in result.output.splitlines() if info.description in line]
        for name in names(field):
            assert name in line


@pytest.mark.parametrize("arguments", [["nonsense"], ["tail"], ["runs", "--limit", "0"]])
def test_a_wrong_use_is_explained(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "address", ["mysql://x", "sqlite://x", "sqlite:///", "chats.db", "sqlite:///a\0b", "x"]
)
def test_an_address_of_no_store_is_refused(address: str) -> None:
    with pytest.raises(InvalidSetting, match="sqlite:///"):
        open_store(address)


def test_a_store_is_named_from_here_or_from_the_root() -> None:
    assert sqlite_path("sqlite:///data/chats.db") == Path("data/chats.db")
    assert sqlite_path("sqlite:////var/chats.db") == Path("/var/chats.db")


RunHere = Callable[..., Ended]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Runs `dls` in this process, which it ends."""

    def run(*arguments: str, **settings: str) -> Ended:
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["dls", *arguments])
            with pytest.raises(SystemExit) as caught:
                main()
        return Ended(int(caught.value.code or 0), *capsys.readouterr())

    return run


@pytest.mark.promise("fit-store")
def test_a_command_refuses_what_it_cannot_do_in_one_line(tmp_path: Path, run_here: RunHere) -> None:
    text_file, foreign, folder = tmp_path / "text", tmp_path / "foreign.db", tmp_path / "folder"
    text_file.write_text("This is no database. " * 100)
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE something (else_ INTEGER)")
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases: list[tuple[dict[str, str], tuple[str, ...]]] = [
            ({"DLS_PORT": "eighty"}, ("DLS_PORT", "eighty")),
            ({"DLS_STORE": "mysql://x"}, ("DLS_STORE", "sqlite:///")),
            ({"DLS_STORE": "redis://127.0.0.1:1"}, ("redis://127.0.0.1:1",)),
            ({"DLS_STORE": f"sqlite:///{text_file}"}, (str(text_file), "not a SQLite file")),
            ({"DLS_STORE": f"sqlite:///{foreign}"}, (str(foreign), "another program")),
            ({"DLS_STORE": f"sqlite:///{folder}"}, (str(folder), "folder")),
            ({"DLS_PORT": port}, (port, "in use", "DLS_PORT")),
            ({"DLS_HOST": "x" * 70}, ("DLS_HOST",)),
            ({"DLS_HOST": "a..b"}, ("DLS_HOST",)),
            ({"OPENAI_BASE_URL": "no address"}, ()),
            (
                {"DLS_HOST": "0.0.0.0", "OPENAI_API_KEY": "x"},
                ("DLS_ANONYMOUS=yes", "DLS_HOSTS", "DLS_HOST=127.0.0.1"),
            ),
        ]
        for settings, words in cases:
            given = {"DLS_STORE": f"sqlite:///{tmp_path}/chats.db", "DLS_PORT": "0", **settings}
            assert_refused(run_here("serve", **given), *words)
    assert text_file.read_text().startswith("This is no database. ")
    for arguments in (["runs"], ["tail", "x"]):
        looked = run_here(*arguments, DLS_STORE=f"sqlite:///{tmp_path}/none.db")
        assert_refused(looked, "none.db")
    assert not (tmp_path / "none.db").exists()


async def test_a_store_can_be_looked_at_while_it_is_served_and_after(tmp_path: Path) -> None:
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "60", "DLS_NONSENSE": "1"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with serving(tmp_path, settings) as server, aiohttp.ClientSession(cookie_jar=jar) as http:
        guest, chat = Guest(server.url, http), "chat-" + "x" * 100
        async with await guest.start("A long answer, please", chat=chat) as response:
            run = response.headers["x-run-id"]
            await read_until(response, lambda reading: len(reading.text) > 20)
            tailing = asyncio.create_task(dls("tail", run, environment=server.environment))
            listed, second = await asyncio.gather(
                dls("runs", "--active", environment=server.environment),
                dls("serve", environment={**server.environment, "DLS_PORT": "0"}),
            )
            await guest.call("POST", f"/api/chat/{chat}/stop")
            tail = await tailing
            end = Reading(response.status, response.headers, await response.read())
        assert second.status == 2
        warning, refusal = second.err.splitlines()
        assert "DLS_NONSENSE is not a setting" in warning
        assert f"already served by process {server.pid}" in refusal
        (line,) = [line for line in listed.out.splitlines() if run in line]
        assert line.split()[:4] == [run, "running", "demo", "1"]
        assert chat in line
        records = [line.partition(" ")[::2] for line in tail.out.splitlines()]
        assert records[0][1].startswith('{"type":"start"')
        assert records[-1] == tuple(end.records[-1])
        assert "DLS_NONSENSE is not a setting" in server.log.read_text()
        assert await server.terminate() == 0

    middle = records[len(records) // 2][0]
    environment = server.environment
    listed, rest, text, lost, nothing = await asyncio.gather(
        dls("runs", environment=environment),
        dls("tail", middle, environment=environment),
        dls("tail", run, "--text", environment=environment),
        dls("tail", f"{run}.0000ffff.abcd", environment=environment),
        dls("tail", "nosuchrun", environment=environment),
    )
    (line,) = [line for line in listed.out.splitlines() if run in line]
    assert line.split()[1] == "stopped"
    assert rest.out == tail.out[tail.out.index(middle) :].partition("\n")[2]
    deltas = [json.loads(record).get("delta", "") for _, record in records]
    assert text.out == "".join(deltas) + "\n"
    assert_refused(lost, "no such record")
    assert_refused(nothing, "`dls runs` lists them")
