"""Zeroing what SQLite leaves in its pages of rows that moved and were then deleted.

Theory of operation
===================
1. `secure_delete` zeroes a deleted row where it is, and the pages that become free. When SQLite
   splits or joins pages of a b-tree, it moves rows, and may leave their old bytes in the unused
   space of a page. No pragma zeroes these, and `VACUUM` would rewrite the whole file.
2. The unused space of a b-tree page lies between its cell pointers and its first cell. Its content
   has no meaning (https://sqlite.org/fileformat2.html#b_tree_pages). So zeroes there are valid for
   anything that reads the page at the same time, and after a crash in between.
3. The file is written beside SQLite only while its write lock is held and its WAL is empty: then
   the file alone is the database, and nobody else writes it.
4. Connections keep pages in memory, and would write the old bytes back. So the same transaction
   changes a row: this makes every connection drop its pages.
5. POSIX drops a process's locks on a file when any of its descriptors of it is closed. So the
   descriptor stays open until SQLite has closed the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct as Layout

_PAGE_HEADER = Layout(">BHHH")  # kind, first free block, cells, where they begin
_POINTER_BYTES = {2: 12, 5: 12, 10: 8, 13: 8}  # kind of b-tree page: where its pointers begin
_FILE_HEADER_BYTES = 100
_AUTO_VACUUM = slice(52, 56)
#: An overflow page begins with a page number. From here on, it could look like a b-tree page.
_MOST_PAGES = 1 << 25
_PAGES_READ_AT_ONCE = 256
_PAGES_ZEROED_AT_ONCE = 16  # under the write lock: about a millisecond
_TRIES = 20


def stale_space(page: bytes, begin: int = 0) -> slice | None:
    """The unused space of a b-tree page; None if it is zero, or the page is another one.

    Args:
        page: its bytes, without those that are reserved at its end.
        begin: where its header begins: 100 in the file's first page.
    """
    kind, _, cells, content = _PAGE_HEADER.unpack_from(page, begin)
    pointers = _POINTER_BYTES.get(kind, 0) + begin
    end = pointers + 2 * cells
    content = content or 65536
    if kind not in _POINTER_BYTES or not end <= content <= len(page):
        return None
    if not page[end:content].strip(b"\0"):
        return None
    for at in range(pointers, end, 2):
        if not content <= int.from_bytes(page[at : at + 2]) < len(page):
            return None
    return slice(end, content)


class StaleBytes:
    """Finds and zeroes them in a file that is being served.

    Args:
        path: the file. Close this after all connections to it.
    """

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def find(self, pause: Callable[[], bool]) -> Iterator[list[int]]:
        """The numbers of pages with stale bytes, some at a time.

        Args:
            pause: called after each part of the file; True ends the search.
        """
        header = os.pread(self._file, _FILE_HEADER_BYTES, 0)
        size = _page_size(header)
        count = os.fstat(self._file).st_size // size if size else 0
        if any(header[_AUTO_VACUUM]) or count >= _MOST_PAGES:
            return
        for first in range(0, count, _PAGES_READ_AT_ONCE):
            data = os.pread(self._file, _PAGES_READ_AT_ONCE * size, first * size)
            offsets = range(0, len(data) - size + 1, size)
            stale = [
                first + offset // size
                for offset in offsets
                if _stale_space(data[offset : offset + size], first + offset // size, header)
            ]
            for some in range(0, len(stale), _PAGES_ZEROED_AT_ONCE):
                yield stale[some : some + _PAGES_ZEROED_AT_ONCE]
            if pause():
                return

    def zero(self, connection: sqlite3.Connection, pages: list[int]) -> bool:
        """Zero the stale bytes of some pages. Returns False if the file is busy; retry later.

        Args:
            connection: to the file, outside a transaction. It should not wait for locks.
            pages: their numbers, from 0.

        Raises:
            sqlite3.Error, OSError: it failed; nothing but stale bytes was changed.
        """
        for _ in range(_TRIES):
            if not truncate_wal(connection):
                continue
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                continue
            try:
                if self._wal.exists() and self._wal.stat().st_size:
                    continue  # somebody wrote in between
                for number in pages:
                    self._zero(number)
                connection.execute(
                    "INSERT INTO meta VALUES ('zeroed', 1)"
                    " ON CONFLICT (name) DO UPDATE SET value = value + 1"
                )
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            os.fdatasync(self._file)
            return True
        return False

    def _zero(self, number: int) -> None:
        header = os.pread(self._file, _FILE_HEADER_BYTES, 0)
        size = _page_size(header)
        page = os.pread(self._file, size, number * size)
        if len(page) == size and (space := _stale_space(page, number, header)):
            os.pwrite(self._file, bytes(space.stop - space.start), number * size + space.start)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._file)


def truncate_wal(connection: sqlite3.Connection) -> bool:
    """Copy the WAL into the file and empty it. Returns False if readers or writers prevent it."""
    try:
        ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError:
        return False
    return not busy


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header[16:18])
    return 65536 if size == 1 else size


def _stale_space(page: bytes, number: int, header: bytes) -> slice | None:
    usable = page[: len(page) - header[20]]
    return stale_space(usable, 0 if number else _FILE_HEADER_BYTES)
