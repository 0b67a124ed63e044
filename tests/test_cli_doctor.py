"""`dls doctor`: what it prints about the store and the provider that are set, and its verdict."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from durable_llm_streams.cli.doctor import doctor
from durable_llm_streams.cli.settings import Settings, names
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.stores import open_store
from tests.fake_provider import KEY, FakeProvider
from tests.redis_servers import RedisServer

ROOT = Path(__file__).parents[1]
VARIABLES = {name for field in Settings.model_fields for name in names(field)}

FIT = "✓ The store is fit for serving."
LOSSY = "! The server starts, but answers may be lost."
DEMO = (
    "· No model provider is set, so the built-in demo answers. "
    "Set OPENROUTER_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL for real answers."
)
ANSWERS = "✓ The model provider answers."
SILENT = "✗ No answer comes from this model provider."
UNFIT = "✗ The server cannot start with this store."


class Report(NamedTuple):
    well: bool
    lines: list[str]

    @property
    def marks(self) -> str:
        """The first letter of each line: ✓ fit, · a note, ! a danger, ✗ unfit."""
        return "".join(line[0] for line in self.lines)


Ask = Callable[..., Awaitable[Report]]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The findings about the store with these settings, and no others."""

    async def ask(*, asks: bool = False, **environment: str) -> Report:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        screen = StringIO()
        well = await doctor(Console(file=screen, width=40), asks=asks)
        return Report(well, screen.getvalue().splitlines())

    return ask


@pytest.fixture
def whole_report(report: Ask, tmp_path: Path) -> Ask:
    """The findings about the provider, with a good store."""

    async def ask(**environment: str) -> Report:
        address = f"sqlite:///{tmp_path}/chats.db"
        well, lines = await report(asks=True, DLS_STORE=address, **environment)
        return Report(well, lines[lines.index(FIT) + 1 :])

    return ask


async def make_store(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    await store.open()
    await store.close()


LOSING = ["save 3600 1", "maxmemory 100mb", "maxmemory-policy allkeys-lru"]


@pytest.mark.promise("fit-store", "no-secrets")
@pytest.mark.parametrize(
    ("options", "login", "marks", "says"),
    [
        pytest.param({"appendfsync": "always"}, "", "·✓", FIT, id="fit, with a note on erasing"),
        pytest.param({"appendfsync": "everysec"}, "", "··✓", FIT, id="notes alone are fit"),
        pytest.param({"config": LOSING}, "", "!!·!", LOSSY, id="each danger has its line"),
        pytest.param(
            {"password": "right"}, ":hidden@", "✗✗", "refuses the user or the password", id="login"
        ),
        pytest.param({"config": ["maxclients 1"]}, "", "✗✗", "too many clients", id="too busy now"),
    ],
)
async def test_a_redis_is_judged(
    report: Ask, tmp_path: Path, options: dict[str, Any], login: str, marks: str, says: str
) -> None:
    async with RedisServer(tmp_path, **options) as server, server.client() as client:
        await client.ping()
        found = await report(DLS_STORE=f"redis://{login}127.0.0.1:{server.port}")
    assert (found.marks, found.well) == (marks, marks[-1] == "✓"), found.lines
    assert any(says in line for line in found.lines), found.lines
    assert "hidden" not in "".join(found.lines)
    assert marks[-1] != "✗" or found.lines[-1] == UNFIT


@pytest.mark.parametrize("address", ["redis://", "redis://h?nothing=1", "ftp://h"])
async def test_an_invalid_address_is_refused(report: Ask, address: str) -> None:
    with pytest.raises(InvalidSetting):
        await report(DLS_STORE=address)


async def test_a_file_that_is_not_there_yet_is_fit_if_it_can_be_made(
    report: Ask, tmp_path: Path
) -> None:
    path = tmp_path / "new\x1b[2J" / "chats.db"
    well, lines = await report(DLS_STORE=f"sqlite:///{path}")
    assert well
    assert "not there yet" in lines[0]
    assert "\x1b" not in lines[0], "a terminal would obey what is in an address"
    assert lines[1:] == [FIT]
    assert not path.parent.exists(), "looking changes nothing"
    (tmp_path / "file").touch()
    well, lines = await report(DLS_STORE=f"sqlite:///{tmp_path}/file/chats.db")
    assert not well
    assert "cannot be made" in lines[0]
    assert lines[1:] == [UNFIT]


async def test_a_store_in_a_file_is_described_also_while_it_is_served(
    report: Ask, tmp_path: Path
) -> None:
    path = tmp_path / "chats.db"
    store = open_store(f"sqlite:///{path}")
    await store.open()
    try:
        well, lines = await report(DLS_STORE=f"sqlite:///{path}")
    finally:
        await store.close()
    assert well
    assert f"{path} can be read and written; it has 0." in lines[0]
    assert lines[0].endswith(" MiB.")
    assert "may lose the last moments" in lines[1]
    _, lines = await report(DLS_STORE=f"sqlite:///{path}", DLS_SQLITE_SYNCHRONOUS="FULL")
    assert "loses nothing (synchronous FULL)" in lines[1]
    assert lines[2:] == [FIT]


@pytest.mark.promise("fit-store")
async def test_a_file_that_is_no_store_is_unfit(report: Ask, tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("This is a text, long enough to be taken for a database. " * 20)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE something (a)")
    for path in (text, other, tmp_path):
        well, lines = await report(DLS_STORE=f"sqlite:///{path}")
        assert (well, lines[-1]) == (False, UNFIT)
        assert str(path) in lines[0]


@pytest.mark.promise("fit-store")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o777), (0o666, 0o555)])
async def test_a_file_or_folder_that_cannot_be_written_is_unfit(
    open_folder: Path, file_mode: int, folder_mode: int
) -> None:
    path = open_folder / "chats.db"
    await make_store(path)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.doctor_without_rights"],
        cwd=ROOT,
        env={**env, "DLS_STORE": f"sqlite:///{path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    first, *rest = done.stdout.splitlines()
    assert first.startswith("✗ "), done
    assert str(path) in first
    assert "folder writable" in first
    assert (rest, done.returncode) == ([UNFIT, DEMO], 1)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can read: pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        yield path
        path.chmod(0o777)


@pytest.mark.promise("fit-store")
async def test_a_disk_that_is_nearly_full_is_a_danger(
    report: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr("durable_llm_streams.cli.doctor.LITTLE_SPACE", free + 1024**4)
    path = tmp_path / "chats.db"
    await make_store(path)
    well, lines = await report(DLS_STORE=f"sqlite:///{path}")
    assert not well
    assert "is nearly full" in lines[0]
    assert lines[-1] == LOSSY


async def test_without_a_provider_the_demo_is_named(whole_report: Ask) -> None:
    assert await whole_report() == (True, [DEMO])


@pytest.mark.promise("no-secrets")
async def test_a_provider_that_answers_is_said_to_and_asked_once(whole_report: Ask) -> None:
    async with FakeProvider(requires="api-key") as fake:
        well, lines = await whole_report(
            OPENAI_BASE_URL=fake.base_url,
            OPENAI_API_KEY=KEY,
            DLS_MODEL="m",
            DLS_PROVIDER_HEADERS="api-key: {key}",
        )
        assert len(fake.requests) == 1
    assert (well, lines) == (True, [f"· {fake.base_url} answers with the model m.", ANSWERS])
    assert KEY not in "".join(lines)


async def test_what_the_provider_does_differently_is_noted(whole_report: Ask) -> None:
    def judge(body: dict[str, object]) -> tuple[int, object] | None:
        if "stream_options" in body:
            return 422, {"error": {"message": "stream_options: Extra inputs are not permitted"}}
        return None

    async with FakeProvider(models=["nomic-embed-text", "llama3.2"], refusals=[judge]) as fake:
        well, lines = await whole_report(OPENAI_BASE_URL=fake.base_url)
        assert well
        assert [line.partition("`stream_options`")[1] != "" for line in lines].count(True) == 1
        assert "answers with the model llama3.2" in lines[0]
        assert "No DLS_MODEL is set" in lines[1]
        fake.plan("tokens=1", "tokens=1")  # the first request is refused
        _, lines = await whole_report(OPENAI_BASE_URL=fake.base_url, DLS_MODEL="m")
        assert "came in one piece" in lines[2]
        _, lines = await whole_report(
            OPENAI_BASE_URL=fake.base_url, DLS_MODEL="m", DLS_PROVIDER_STREAM="off"
        )
        assert "Answers come whole" in lines[1]


async def test_who_can_reach_the_server_is_judged(whole_report: Ask) -> None:
    public = {"DLS_HOST": "0.0.0.0", "OPENAI_BASE_URL": "http://t@127.0.0.1:1/v1", "DLS_MODEL": "m"}
    refused = await whole_report(**public)
    assert "DLS_ANONYMOUS=yes" in refused.lines[0]
    assert refused.lines[1] == "✗ The server does not start where others can reach it."
    meant = {
        **public,
        "DLS_ANONYMOUS": "yes",
        "DLS_HOSTS": "chat.example.org",
        "DLS_BUDGET_PER_DAY": "1000000",
    }
    weak = await whole_report(**meant, DLS_CONTEXT_TOKENS="0")
    assert weak.lines[1] == "! The server starts, but others could misuse it."
    silent = await whole_report(**meant)
    assert "http://***@127.0.0.1:1/v1" in silent.lines[0], "the provider comes first"
    assert (refused.marks, weak.marks, silent.marks) == ("✗✗✗✗", "!!✗✗", "✗✗")


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    ("plan", "environment", "says"),
    [
        ("status=401", {}, "set a valid key"),
        ("status=404,code=model_not_found", {}, "does not offer this model"),
        ("status=500", {}, "had a problem"),
        ("status=400", {}, "internal.example"),
        ("html", {}, "did not answer with a stream"),
        ("redirect", {}, "leads elsewhere"),
        ("end_after=1", {}, "broke off"),
        ("", {"OPENAI_API_KEY": "two words"}, "Copy it again"),
        ("", {"OPENAI_BASE_URL": "127.0.0.1:1/v1"}, "Write it in full: http://127.0.0.1:1/v1"),
        ("", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "cannot be reached"),
        ("", {"DLS_PROVIDER_CONFIG": "/no/such.toml"}, "DLS_PROVIDER_CONFIG"),
        ("", {"DLS_BACKGROUND": "a b"}, "DLS_BACKGROUND"),
    ],
)
async def test_a_providers_fault_is_described_in_a_sentence(
    whole_report: Ask, plan: str, environment: dict[str, str], says: str
) -> None:
    async with FakeProvider() as fake:
        fake.plan(plan)
        given = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": "upstream-secret"}
        well, lines = await whole_report(**{**given, "DLS_MODEL": "m", **environment})
    assert not well
    assert says in lines[0]
    assert "upstream-secret" not in lines[0]
    assert lines[1:] == [SILENT]


async def test_a_silent_provider_times_out(
    whole_report: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_llm_streams.cli.doctor_provider.SECONDS", 0.05)
    async with FakeProvider() as fake:
        fake.plan("stall_after=0")
        well, lines = await whole_report(OPENAI_BASE_URL=fake.base_url, DLS_MODEL="m")
    assert not well
    assert "gave no answer" in lines[0]
