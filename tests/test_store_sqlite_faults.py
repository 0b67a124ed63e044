"""The SQLite store when the disk is full, the file is no store, or the process is killed."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreLocked, StoreUnavailable, StoreUnusable
from durable_llm_streams.store import Changes
from durable_llm_streams.stores.sqlite import SQLiteStore, SQLiteView
from durable_llm_streams.stores.sqlite.file import APPLICATION_ID, SCHEMA_VERSION
from tests.contract.harness import LAST, LEASE, Talk, bounded, records
from tests.sqlite_stores import SQLiteStores, nothing_left_open, stores, talk
from tests.waiting import within

__all__ = ["stores", "talk"]

ROOT = Path(__file__).parents[1]


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
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: talk.append(claim, [much], at=len(log) + 1),
        lambda: talk.end(claim, body=much),
        lambda: talk.send(chat="c3", body=much),
        lambda: talk.send("m2", queue=True, body=much),
        lambda: talk.store.rename("ann", "c1", much.decode()),
    ]
    before = await talk.store.snapshot("ann", "c1")
    position = (await talk.store.changes("ann", None)).position
    for call in calls:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await call()
    assert await talk.store.changes("ann", position) == Changes([], position, complete=True)
    assert await talk.store.snapshot("ann", "c1") == before
    assert before.log is not None
    assert list(before.log.records) == log
    assert sorted(await talk.chat_ids()) == ["c1", "c2"]
    stores.break_off("PRAGMA max_page_count=1000000")
    assert await talk.append(claim, records(9, size=900), at=len(log) + 1)
    log += records(9, size=900)
    await talk.end(claim)
    assert await talk.log(claim.run.id) == [*log, LAST]
    assert [c.run.id for c in await talk.store.claim("w1", 9, LEASE)] == [waiting.id]
    await talk.crash()
    assert await talk.log(claim.run.id) == [*log, LAST]


def refuse_commits(action: int, first: str | None, *_: str | None) -> int:
    """For `sqlite3.Connection.set_authorizer`."""
    is_one = action == sqlite3.SQLITE_TRANSACTION and first == "COMMIT"
    return sqlite3.SQLITE_DENY if is_one else sqlite3.SQLITE_OK


@pytest.mark.promise("seen-is-durable")
@pytest.mark.parametrize("fails", ["begin", "commit"])
async def test_a_write_that_fails_changes_nothing_in_memory_either(
    talk: Talk, stores: SQLiteStores, fails: str
) -> None:
    """Another program holds the file, or the last step of each operation fails."""
    claim = await talk.start(chat="c1")
    await talk.send(chat="c2")
    assert await talk.append(claim, records(2))
    assert stores.store is not None
    connection = stores.store._file.connection
    stores.break_off("PRAGMA busy_timeout=0")
    other = sqlite3.connect(stores.path, isolation_level=None)
    if fails == "begin":
        other.execute("BEGIN IMMEDIATE")
    else:
        connection.set_authorizer(refuse_commits)
    before = [await talk.store.snapshot("ann", chat) for chat in ("c1", "c2")]
    reader = await talk.waiting(claim.run.id, 2)
    position = (await talk.store.changes("ann", None)).position
    calls: list[Callable[[], Awaitable[object]]] = [
        *([lambda: talk.append(claim, records(1), at=3)] if fails == "begin" else []),
        lambda: talk.append(claim, records(40, size=900), at=3),
        lambda: talk.end(claim),
        lambda: talk.stop(claim.run.id),
        lambda: talk.send(chat="c3", worker="w1", lease=LEASE),
        lambda: talk.send("m2", chat="c2", queue=True),
        lambda: talk.store.claim("w1", 5, LEASE),
        lambda: talk.store.seize(claim.run.id, "w2", LEASE),
        lambda: talk.store.release([claim]),
        lambda: talk.store.delete("ann", "c1"),
        lambda: talk.store.rename("ann", "c1", "New"),
        lambda: talk.store.expire(now=talk.clock() + 10**12, log_age=1, chat_age=1),
        lambda: talk.store.check(),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call()
        assert await talk.store.changes("ann", position) == Changes([], position, complete=True)
        assert [await talk.store.snapshot("ann", chat) for chat in ("c1", "c2")] == before
        assert await talk.store.renew([claim], LEASE) == []
        assert await talk.chat_ids("ann") == [chat.chat.id for chat in reversed(before)]
    assert not reader.done()
    connection.set_authorizer(None)
    other.close()
    assert await talk.append(claim, records(1), at=3)
    assert list((await bounded(reader)).records) == records(1)
    assert len(await talk.store.claim("w1", 5, LEASE)) == 1


@pytest.mark.promise("fencing")
async def test_whoever_opened_the_file_last_is_the_only_one_who_writes(
    talk: Talk, stores: SQLiteStores
) -> None:
    claim = await talk.start()
    assert await talk.append(claim, records(2))
    other = sqlite3.connect(stores.path, isolation_level=None)
    other.execute("UPDATE meta SET value = value + 1 WHERE name = 'node'")
    other.close()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: talk.append(claim, records(1), at=3),
        lambda: talk.append(claim, records(40, size=900), at=3),
        lambda: talk.end(claim),
        lambda: talk.send(chat="c2"),
        lambda: talk.store.delete("ann", "c1"),
        lambda: talk.store.check(),
        lambda: talk.store.secret(),
    ]
    for call in calls:
        with pytest.raises(StoreLocked, match="taken over"):
            await call()
    assert await talk.log(claim.run.id) == records(2)


# --- when it is killed -------------------------------------------------------------------------


class Writer:
    """`tests/sqlite_writer.py` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.acknowledged: dict[str, int] = {}
        self.ended: set[str] = set()

    async def take(self, count: int) -> None:
        """Read so many acknowledgements."""
        async with within("an acknowledgement of the writer"):
            for _ in range(count):
                assert self._note(await self._line()), "the writer has ended by itself"

    async def kill(self) -> None:
        """Kill it and read what it had acknowledged until then."""
        self._process.kill()
        async with within("the killed writer to end"):
            while self._note(await self._line()):
                pass
            await self._process.wait()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    def _note(self, line: bytes) -> bool:
        if not line.endswith(b"\n"):
            return False
        what, run_id, count = line.decode().split()
        self.acknowledged[run_id] = int(count)
        if what == "ended":
            self.ended.add(run_id)
        return True


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[Writer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sqlite_writer", str(path),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    writer = Writer(process)
    try:
        yield writer
    finally:
        if process.returncode is None:
            await writer.kill()


@pytest.mark.promise("seen-is-durable", "prefix", "one-end")
async def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    rng = random.Random()
    ended: set[str] = set()
    for _ in range(10):
        async with writing(path) as writer:
            await writer.take(rng.randrange(1, 400))
            await writer.kill()
        store = SQLiteStore(path)
        runs = {run.id: run for run in await store.runs(limit=10_000)}
        for run_id, count in writer.acknowledged.items():
            assert runs[run_id].status.ended or run_id not in writer.ended
            log: list[bytes] = []
            while (page := await store.read(run_id, len(log))).records:
                log += page.records
            assert len(log) >= count
            ends = runs[run_id].status.ended
            numbers = [int(record.split(b",")[0][5:]) for record in (log[:-1] if ends else log)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert log.count(LAST) == ends
        ended |= writer.ended
        await store.close()
    assert ended, "no round was long enough"


@pytest.mark.promise("fencing")
async def test_a_second_process_is_told_which_one_serves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    async with writing(path) as writer:
        await writer.take(10)
        for _ in range(2):
            with pytest.raises(StoreLocked, match=f"already served by process {writer.pid}\\."):
                SQLiteStore(path)
        view = SQLiteView(path)
        run_id = next(iter(writer.acknowledged))  # the one that never ends
        log: list[bytes] = []
        async with within("200 records in the view"):
            while len(log) < 200:
                page = await view.read(run_id, len(log), wait=5)
                log += page.records
        numbers = [int(record.split(b",")[0][5:]) for record in log]
        assert numbers == list(range(1, len(log) + 1))
        await writer.kill()
        await view.close()
    store = SQLiteStore(path)
    with nothing_left_open(tmp_path), pytest.raises(StoreLocked, match=f"process {os.getpid()}\\."):
        SQLiteStore(path)
    await store.close()


# --- when it is no store -----------------------------------------------------------------------


def make(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def not_sqlite(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_bytes(b"Dear diary, " * 1000)
    return path


def another_application(folder: Path) -> Path:
    return make(folder / "other.db", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")


def newer(folder: Path) -> Path:
    mark = f"PRAGMA application_id={APPLICATION_ID}"
    return make(
        folder / "newer.db",
        "CREATE TABLE run (x)",
        mark,
        f"PRAGMA user_version={SCHEMA_VERSION + 1}",
    )


def damaged(folder: Path) -> Path:
    path = folder / "damaged.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        f"CREATE TABLE run (x); PRAGMA application_id={APPLICATION_ID};"
        f"PRAGMA user_version={SCHEMA_VERSION};"
    )
    connection.close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    return path


def folder_itself(folder: Path) -> Path:
    return folder


@pytest.mark.promise("fit-store")
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (not_sqlite, "not a SQLite file"),
        (another_application, "database of something else"),
        (newer, "newer version"),
        (damaged, "cannot be used"),
        (folder_itself, "is a folder"),
    ],
)
async def test_what_is_no_store_is_left_alone(
    tmp_path: Path, kind: Callable[[Path], Path], sentence: str
) -> None:
    path = kind(tmp_path)
    before = path.read_bytes() if path.is_file() else b""
    with nothing_left_open(tmp_path):
        for _ in range(2):  # the first refusal lets go of the lock
            with pytest.raises(StoreUnusable, match=sentence):
                SQLiteStore(path)
        with pytest.raises(StoreUnusable):
            SQLiteView(path)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.promise("fit-store")
async def test_a_store_of_which_something_is_missing_is_refused(tmp_path: Path) -> None:
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


async def test_a_store_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "chats.db"
    store = SQLiteStore(path)
    await store.close()
    empty = tmp_path / "empty.db"
    empty.touch()
    store = SQLiteStore(empty)
    await store.close()
    assert path.is_file()


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
