"""The SQLite store when the disk is full, the file is no store, or another process has it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreLocked, StoreUnavailable, StoreUnusable
from durable_llm_streams.model import Claim
from durable_llm_streams.store import Changes, Retention
from durable_llm_streams.stores.sqlite import SQLiteStore, SQLiteView
from durable_llm_streams.stores.sqlite.file import APPLICATION_ID, SCHEMA_VERSION
from tests.children import tied
from tests.contract.harness import LAST, LEASE, Talk, bounded, delete_some, records, refused
from tests.sqlite_stores import SQLiteStores, nothing_left_open, open_files, stores, talk
from tests.waiting import until, within

__all__ = ["stores", "talk"]

ROOT = Path(__file__).parents[1]
Call = Callable[[], Awaitable[object]]


# --- when it cannot write ----------------------------------------------------------------------


@pytest.mark.promise("outage", "seen-is-durable")
async def test_a_full_disk_loses_nothing(talk: Talk, stores: SQLiteStores) -> None:
    claim = await talk.start()
    waiting = (await talk.send(chat="c2")).run
    stores.break_off("PRAGMA max_page_count=1")  # as small as the file is
    log: list[bytes] = []
    with pytest.raises(StoreUnavailable, match="space"):
        while True:
            assert await talk.append(claim, records(9, size=900), at=len(log) + 1)
            log += records(9, size=900)
            talk.clock.advance(1)
    much = b"-" * 100_000
    calls: list[Call] = [
        lambda: talk.append(claim, [much], at=len(log) + 1),
        lambda: talk.end(claim, body=much),
        lambda: talk.send(chat="c3", body=much),
        lambda: talk.send("m2", queue=True, body=much),
        lambda: talk.store.chats.rename("ann", "c1", much.decode()),
    ]
    before = await talk.snapshot()
    position = (await talk.store.feed.changes("ann", None)).position
    for call in calls:
        for _ in range(2):
            await refused(StoreUnavailable, call())
    assert await talk.store.feed.changes("ann", position) == Changes([], position, complete=True)
    assert await talk.snapshot() == before
    assert before.log is not None
    assert list(before.log.records) == log
    assert sorted(await talk.chat_ids()) == ["c1", "c2"]
    stores.break_off("PRAGMA max_page_count=1000000")
    assert await talk.append(claim, records(9, size=900), at=len(log) + 1)
    log += records(9, size=900)
    await talk.end(claim)
    assert await talk.log(claim.run.id) == [*log, LAST]
    assert [c.run.id for c in await talk.claims()] == [waiting.id]
    await talk.crash()
    assert await talk.log(claim.run.id) == [*log, LAST]


def refuse_commits(action: int, first: str | None, *_: str | None) -> int:
    """For `sqlite3.Connection.set_authorizer`."""
    is_one = action == sqlite3.SQLITE_TRANSACTION and first == "COMMIT"
    return sqlite3.SQLITE_DENY if is_one else sqlite3.SQLITE_OK


def writes(talk: Talk, claim: Claim) -> dict[str, Call]:
    """Everything that writes into the file."""
    return {
        "append": lambda: talk.append(claim, records(1), at=3),
        "a segment": lambda: talk.append(claim, records(40, size=900), at=3),
        "end": lambda: talk.end(claim),
        "stop": lambda: talk.stop(claim.run.id),
        "a new chat": lambda: talk.send(chat="c3", worker="w1", lease=LEASE),
        "send": lambda: talk.send("m2", chat="c2", queue=True),
        "claim": talk.claims,
        "seize": lambda: talk.store.runs.claim_run(claim.run.id, "w2", LEASE),
        "release": lambda: talk.store.runs.release([claim]),
        "delete": lambda: talk.store.chats.delete("ann", "c1"),
        "rename": lambda: talk.store.chats.rename("ann", "c1", "New"),
        "expire": lambda: delete_some(talk.store, Retention(log=1, chat=1)),
        "check": talk.store.check,
    }


@pytest.mark.promise("seen-is-durable", "fencing")
@pytest.mark.parametrize("fails", ["begin", "commit", "node"])
async def test_a_write_that_fails_changes_nothing_in_memory_either(
    talk: Talk, stores: SQLiteStores, fails: str
) -> None:
    """Another program holds the file, each last step fails, or another process took it over."""
    claim = await talk.start(chat="c1")
    await talk.send(chat="c2")
    assert await talk.append(claim, records(2))
    assert stores.store is not None
    connection = stores.store.file.connection
    stores.break_off("PRAGMA busy_timeout=0")
    before = [await talk.snapshot(chat=chat) for chat in ("c1", "c2")]
    reader = await talk.waiting(claim.run.id, 2)
    position = (await talk.store.feed.changes("ann", None)).position
    failing = writes(talk, claim)
    other = sqlite3.connect(stores.path, isolation_level=None)
    if fails == "begin":
        other.execute("BEGIN IMMEDIATE")  # until it is closed
    elif fails == "commit":
        connection.set_authorizer(refuse_commits)
        del failing["append"]  # one statement, without a commit of its own
    else:
        other.execute("UPDATE meta SET value = value + 1 WHERE name = 'node'")
        failing["meta"] = lambda: talk.store.meta("secret", b"")
    for name, call in failing.items():
        await refused(StoreLocked if fails == "node" else StoreUnavailable, call())
        assert await talk.store.feed.changes("ann", position) == Changes(
            [], position, complete=True
        )
        assert [await talk.snapshot(chat=chat) for chat in ("c1", "c2")] == before, name
        assert await talk.store.runs.renew([claim], LEASE) == [], name
        assert await talk.chat_ids("ann") == ["c2", "c1"]
    assert not reader.done()
    connection.set_authorizer(None)
    if fails == "node":
        other.execute(f"UPDATE meta SET value = {stores.store.file.node} WHERE name = 'node'")
    other.close()
    assert await talk.append(claim, records(1), at=3)
    assert list((await bounded(reader)).records) == records(1)
    assert len(await talk.claims()) == 1


# --- when another process serves it ------------------------------------------------------------

SERVER = """
import pathlib, sys
from durable_llm_streams.stores.sqlite import SQLiteStore
store = SQLiteStore(pathlib.Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.promise("fencing")
async def test_the_error_for_a_second_process_names_the_one_that_serves_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chats.db"
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-c", SERVER, path]), stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        async with within("the process to open the store"):
            assert await process.stdout.readline() == b"open\n"
        with nothing_left_open(tmp_path):
            for _ in range(2):
                with pytest.raises(
                    StoreLocked, match=f"already served by process {process.pid}\\."
                ):
                    SQLiteStore(path)
            view = SQLiteView(path)
            assert await view.newest() == []
            await view.close()
    finally:
        process.kill()
        await process.wait()
    store = SQLiteStore(path)
    # The thread for checkpoints opens the file a moment later.
    await until(lambda: open_files(tmp_path).count(str(path)), lambda times: times == 3)
    with nothing_left_open(tmp_path), pytest.raises(StoreLocked, match=f"process {os.getpid()}\\."):
        SQLiteStore(path)
    await store.close()


# --- when it is no store -----------------------------------------------------------------------


MARK = f"PRAGMA application_id={APPLICATION_ID};"


def make(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def damaged(path: Path) -> None:
    make(path, f"CREATE TABLE run (x); {MARK} PRAGMA user_version={SCHEMA_VERSION}")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)


@pytest.mark.promise("fit-store")
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        pytest.param(not_sqlite, "not a SQLite file", id="a text"),
        pytest.param("CREATE TABLE t (x)", "database of another program", id="another application"),
        pytest.param(
            f"CREATE TABLE run (x); {MARK} PRAGMA user_version={SCHEMA_VERSION + 1}",
            "newer version",
            id="a newer store",
        ),
        pytest.param(damaged, "cannot be used", id="a damaged store"),
        pytest.param(Path.mkdir, "is a folder", id="a folder"),
    ],
)
async def test_a_file_that_is_not_a_store_is_left_unchanged(
    tmp_path: Path, kind: str | Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "chats.db"
    if isinstance(kind, str):
        make(path, kind)
    else:
        kind(path)
    before = path.read_bytes() if path.is_file() else b""
    with nothing_left_open(tmp_path):
        for _ in range(2):  # the first refusal releases the lock
            with pytest.raises(StoreUnusable, match=sentence):
                SQLiteStore(path)
        with pytest.raises(StoreUnusable):
            SQLiteView(path)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.promise("fit-store")
async def test_an_incomplete_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    await SQLiteStore(path).close()
    make(path, "DROP TABLE journal")
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="cannot be used"):
            SQLiteStore(path)


async def test_a_view_makes_no_file(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.db", tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(StoreUnusable, match="no store at"):
        SQLiteView(missing)
    with pytest.raises(StoreUnusable):
        SQLiteView(empty)
    assert not missing.exists()
    assert empty.read_bytes() == b""


async def test_a_store_is_made_with_its_folder_or_in_an_empty_file(tmp_path: Path) -> None:
    path, empty = tmp_path / "a" / "b" / "chats.db", tmp_path / "empty.db"
    empty.touch()
    for place in (path, empty):
        await SQLiteStore(place).close()
        assert place.stat().st_size > 0, place


# --- when it may not write ---------------------------------------------------------------------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter: pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.promise("fit-store")
@pytest.mark.parametrize(
    ("file_mode", "folder_mode"), [(0o444, 0o777), (0o666, 0o555), (0o000, 0o777), (0o444, 0o555)]
)
async def test_a_file_or_folder_that_cannot_be_written_is_refused(
    open_folder: Path, file_mode: int, folder_mode: int
) -> None:
    path = open_folder / "chats.db"
    await SQLiteStore(path).close()
    Path(f"{path}.lock").unlink()
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sqlite_opener", str(path),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with within("the process that opens the store"):
        said, _ = await process.communicate()
    assert said.startswith(b"StoreUnusable: ")
    assert b"writable" in said
    assert stat.S_IMODE(path.stat().st_mode) == file_mode
