"""A store's file, read while another process serves it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from durable_llm_streams.errors import CursorLost, RunNotFound, StoreUnavailable, StoreUnusable
from durable_llm_streams.model import Run
from durable_llm_streams.store import PAGE_BYTES, LogReader, Page, RunList

from .file import check_identity, unusable
from .journal import unpack
from .rows import RUN_COLUMNS, find_run, newest_runs, read_segments, run_from_row, within

_POLL_SECONDS = 0.05


class SQLiteView(LogReader, RunList):
    """Reads runs and logs of a file that another process may serve. Writes nothing.

    A reader that waits polls the file twenty times a second.

    Args:
        path: the file.

    Raises:
        StoreUnusable: it does not exist, or it is not a store.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreUnusable(f"There is no store at {path}. DLS_STORE names the one to read.")
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
        except sqlite3.Error as error:
            raise unusable(path, error) from error
        try:
            check_identity(self._connection, path)
            self._connection.execute("SELECT 1 FROM run LIMIT 1").fetchall()
        except sqlite3.Error as error:
            self._connection.close()
            raise unusable(path, error) from error
        except StoreUnusable:
            self._connection.close()
            raise

    @override
    async def newest(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        try:
            return newest_runs(self._connection, active=active, limit=limit)
        except sqlite3.Error as error:
            raise _unreadable(error) from error

    @override
    async def any_run(self, run_id: str) -> Run:
        try:
            return find_run(self._connection, run_id)
        except sqlite3.Error as error:
            raise _unreadable(error) from error

    @override
    async def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Page:
        until = asyncio.get_running_loop().time() + wait
        while True:
            page = self._page(run_id, after, max_bytes)
            late = asyncio.get_running_loop().time() >= until
            if page.records or page.status.ended or late:
                return page
            await asyncio.sleep(_POLL_SECONDS)

    def _page(self, run_id: str, after: int, max_bytes: int) -> Page:
        connection = self._connection
        try:
            connection.execute("BEGIN")  # one snapshot for all statements
            try:
                row = connection.execute(
                    f"SELECT key, next_seq, has_log, {RUN_COLUMNS} FROM run WHERE id = ?",
                    (run_id,),
                ).fetchone()
                if row is None:
                    raise RunNotFound("There is no such run. `dls runs` lists them.")
                key, next_seq, has_log, *columns = row
                run = run_from_row(columns)
                records = read_segments(connection, key, after, max_bytes)
                if not run.status.ended:
                    tail_first, tail = self._tail(key)
                    next_seq = tail_first + len(tail)
                    if after + len(records) >= tail_first - 1:
                        rest = tail[max(0, after + len(records) + 1 - tail_first) :]
                        records = within([*records, *rest], max_bytes)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        if after >= next_seq or after < 0 or (not has_log and after < next_seq - 1):
            raise CursorLost
        return Page(after + 1, records, next_seq, run.spans, run.status)

    def _tail(self, key: int) -> tuple[int, list[bytes]]:
        """The records of a run that are only in the journal, and the first one's number."""
        (first,) = self._connection.execute(
            "SELECT ifnull(max(first + count), 1) FROM segment WHERE run = ?", (key,)
        ).fetchone()
        tail: list[bytes] = []
        for (row,) in self._connection.execute("SELECT data FROM journal ORDER BY id"):
            for item in unpack(row):
                if item.run_key == key and item.first == first + len(tail):
                    tail += item.data.split(b"\n")
        return first, tail

    async def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _unreadable(error: sqlite3.Error) -> StoreUnavailable:
    return StoreUnavailable(f"The store cannot be read now ({error}).")
