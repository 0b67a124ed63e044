"""Whether an SQLite store says that it is ready: it writes, and looks at the free space."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreUnavailable, StoreUnusable
from durable_llm_streams.stores.sqlite import SQLiteStore, readiness
from durable_llm_streams.stores.sqlite import file as database_file
from tests.contract.harness import Talk, records
from tests.sqlite_stores import SQLiteStores, nothing_left_open, stores, talk

__all__ = ["stores", "talk"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 6 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


@pytest.mark.promise("outage")
async def test_a_full_disk_is_not_ready_and_ready_again_when_there_is_room(
    small_disk: Path,
) -> None:
    stores = SQLiteStores(small_disk)
    talk = Talk(stores, await stores.open())
    try:
        await talk.store.check()
        claim = await talk.start()
        assert await talk.append(claim, records(9, size=90))
        ballast = fill(small_disk)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="space"):
                await talk.store.check()
            talk.clock.advance(2)
        ballast.unlink()
        await talk.store.check()
        assert await talk.append(claim, records(1), at=10)
    finally:
        await stores.clean_up()


@pytest.mark.promise("outage")
async def test_a_disk_with_little_room_is_not_ready(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk.store.check()
    monkeypatch.setattr(readiness, "FLOOR_BYTES", 1 << 62)
    with pytest.raises(StoreUnavailable, match="KiB left"):
        await talk.store.check()


async def test_a_check_writes_at_most_once_a_second(talk: Talk, stores: SQLiteStores) -> None:
    assert stores.store is not None
    connection = stores.store.file.connection
    changes = []
    for _ in range(3):
        for _ in range(50):
            await talk.store.check()
        changes.append(connection.total_changes)
        talk.clock.advance(1)
    assert changes[1:] == [changes[0] + 1, changes[0] + 2]


@pytest.mark.promise("outage")
async def test_a_file_that_cannot_be_written_is_not_ready(talk: Talk, stores: SQLiteStores) -> None:
    """A check that failed is made again at once."""
    await talk.store.check()
    talk.clock.advance(1)
    assert stores.store is not None
    connection = stores.store.file.connection
    written = connection.total_changes
    stores.break_off("PRAGMA query_only=1")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be written now"):
            await talk.store.check()
    stores.break_off("PRAGMA query_only=0")
    await talk.store.check()
    assert connection.total_changes == written + 1


@pytest.mark.promise("fit-store")
async def test_a_file_that_another_program_writes_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_file, "_BUSY_MILLISECONDS", 10)
    path = tmp_path / "chats.db"
    await SQLiteStore(path).close()
    with nothing_left_open(tmp_path), closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnusable, match="Another program holds the file open"):
            SQLiteStore(path)
    await SQLiteStore(path).close()
