"""SQLite files as the contract suite needs them."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from durable_llm_streams.stores.sqlite import SQLiteStore
from tests.contract import StoreFactory
from tests.contract.harness import Talk


class SQLiteStores(StoreFactory):
    """Stores in a folder. A crash is a copy of the files as they lie on the disk."""

    leases_die_with_the_process = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._numbers = itertools.count(1)
        self.path = folder / "0.db"
        self.store: SQLiteStore | None = None

    async def open(self) -> SQLiteStore:
        self.store = SQLiteStore(
            self.path, now=self.clock, monotonic=self.clock.monotonic, token=self.tokens
        )
        return self.store

    async def reopen(self) -> SQLiteStore:
        await self.clean_up()
        return await self.open()

    async def crash(self) -> SQLiteStore:
        old, self.path = self.path, self._folder / f"{next(self._numbers)}.db"
        for ending in ("", "-wal"):
            shutil.copyfile(f"{old}{ending}", f"{self.path}{ending}")
        return await self.reopen()

    async def clean_up(self) -> None:
        if self.store is not None:
            await self.store.close()

    def query(self, statement: str) -> int:
        """One number, as another process sees it."""
        connection = sqlite3.connect(self.path)
        try:
            (number,) = connection.execute(statement).fetchone()
        finally:
            connection.close()
        assert isinstance(number, int)
        return number

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return self.query(f"SELECT count(*) FROM {table}")

    def break_off(self, statement: str) -> None:
        """Run a statement on the serving connection."""
        assert self.store is not None
        self.store.file.connection.execute(statement).fetchall()


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[SQLiteStores]:
    factory = SQLiteStores(tmp_path)
    yield factory
    await factory.clean_up()


@pytest.fixture
async def talk(stores: SQLiteStores) -> Talk:
    return Talk(stores, await stores.open())


def open_files(folder: Path) -> list[str]:
    """The files of a folder that this process has open, once for each time."""
    links = (str(link.resolve()) for link in Path("/proc/self/fd").iterdir())
    return sorted(link for link in links if link.startswith(str(folder)))


@contextmanager
def nothing_left_open(folder: Path) -> Iterator[None]:
    """What is refused leaves no file of this folder open."""
    before = open_files(folder)
    yield
    after = open_files(folder)
    assert after == before, f"open files: {after}, before: {before}"
