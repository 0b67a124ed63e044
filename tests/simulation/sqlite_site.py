"""SQLite in the simulation: one file, served by one process at a time, on a real disk.

A killed process leaves the file as it was at that moment: the file and its WAL are copied then, and
the next process opens the copy. Closing the dead one's connection would tidy the WAL up first.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from durable_llm_streams.errors import NotFound
from durable_llm_streams.store import Retention, Store
from durable_llm_streams.stores import SQLiteStore

from .determinism import true_time, wall_clock
from .faults import Faults
from .loop import WORLD, Process
from .trace import Trace


class SQLiteSite:
    """Where the history's file is."""

    servers = 1
    troubles: tuple[str, ...] = ()

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.forgotten: list[dict[str, Sequence[bytes]]] = []
        self._retention = Retention()
        self.pauses: list[tuple[float, float]] = []
        self._folder = folder
        self._rng = rng
        self._lives = 0
        self._open: dict[Process, SQLiteStore] = {}
        self._path = folder / "chats.0.db"

    async def open(self, process: Process) -> Store:
        store = SQLiteStore(
            self._path,
            retention=self._retention,
            now=wall_clock,
            monotonic=true_time,
            token=self._token,
        )
        self._open[process] = store
        return store

    def let_go(self, process: Process) -> None:
        self._open.pop(process, None)

    def killed(self, process: Process) -> None:
        store = self._open.pop(process, None)
        if store is None or store.file._closing.is_set():
            return
        self._lives += 1
        before, self._path = self._path, self._folder / f"chats.{self._lives}.db"
        for suffix in ("", "-wal"):
            if (source := Path(f"{before}{suffix}")).exists():
                shutil.copyfile(source, f"{self._path}{suffix}")
        store.file._closing.set()
        store.file.connection.close()
        os.close(store.file._lock)

    def retain(self, log_age: float, chat_age: float) -> None:
        self._retention = Retention(log=log_age, chat=chat_age)

    async def kept(self) -> list[str]:
        [store] = self._open.values()
        execute = store.file.connection.execute
        counts = {
            table: execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("segment", "run", "message", "chat")
        }
        return [f"{count} rows of {table}" for table, count in counts.items() if count]

    def begin(self, faults: Faults, trace: Trace) -> None:
        """Nothing can happen to a file but the death of its process."""

    def strike(self, kind: str, rng: random.Random) -> None:
        """See `begin`."""

    def calm(self) -> None:
        """See `begin`."""

    def length(self, run_id: str) -> int | None:
        for store in self._open.values():
            with contextlib.suppress(NotFound):  # deleted since
                return store.pages.page(run_id, 0).next_seq - 1
        return None

    async def active(self) -> bool:
        for store in self._open.values():
            return bool(await store.operators.newest(active=True))
        return True

    async def reopened(self) -> Store:
        return await self.open(WORLD)

    def abandon(self) -> None:
        for process in list(self._open):
            self.killed(process)

    def leaks(self) -> list[str]:
        return [f"{process.name} still has the file open" for process in self._open]

    def _token(self) -> str:
        return self._rng.randbytes(4).hex()
