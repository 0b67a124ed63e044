"""The database file: opening, the lock, the schema, transactions, checkpoints.

Theory of operation
===================
1. One process serves a file. A lock on `FILE.lock` refuses a second one. Where locks do not work (a
   network file system), `node` does: every opening raises that number, and every write checks it
   inside its transaction.
2. WAL mode. The serving connection is used on the event loop's thread: a flush is one statement of
   a few dozen microseconds, less than a switch to another thread and back.
3. Checkpoints run on a thread with a connection of its own, so that no flush waits for the copying
   of pages. While the serving connection writes, such a checkpoint never reaches the end of the
   WAL, so the WAL would grow. When it is large, the serving connection copies the last few pages
   itself and empties it. It does not wait for readers (a backup may read for minutes); then the WAL
   grows until they end.
4. `synchronous=NORMAL` survives the death of the process, at any moment. A power failure may lose
   what was written since the last checkpoint, but the file stays consistent. `FULL` syncs each
   flush before its readers see it.
5. What is deleted is zeroed: by `secure_delete`, whatever SQLite's build says, and by
   `stale_bytes`. After `erase` the thread empties the WAL, where older versions of pages are. It
   takes the locks for that only when they are free, and waits for readers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Literal

from durable_llm_streams.errors import StoreError, StoreLocked, StoreUnavailable, StoreUnusable

from .stale_bytes import StaleBytes, truncate_wal

Synchronous = Literal["NORMAL", "FULL"]

#: "DLS" and a version of the marking, in the header of the file.
APPLICATION_ID = 0x444C5301
SCHEMA_VERSION = 3

_CHECKPOINT_SECONDS = 0.5
_LARGE_WAL = 32 * 1024 * 1024
_BUSY_MILLISECONDS = 2000
_PAUSE_SECONDS = 0.001  # between two parts of a search for stale bytes
_MOST_SEARCHING = 0.05  # of the time


class DatabaseFile:
    """The serving connection to a store's file.

    Args:
        path: the file; created, with its folder, if it does not exist.
        synchronous: what survives a power failure (rule 4 above).

    Raises:
        StoreLocked: another process serves the file.
        StoreUnusable: it is not a store, cannot be written, or is too new.
    """

    def __init__(self, path: Path, synchronous: Synchronous = "NORMAL") -> None:
        self.path = path
        self._finish_checkpoint = threading.Event()
        self._erase = threading.Event()
        self._closing = threading.Event()
        self._lock = _lock(path)
        try:
            self.connection = _open(path, synchronous)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self.node = self._raise_node()
        except BaseException as error:
            self.connection.close()
            os.close(self._lock)
            if isinstance(error.__cause__, sqlite3.Error):
                raise unusable(path, error.__cause__) from error
            raise
        self._stale_bytes = StaleBytes(path)
        self._checkpointer = threading.Thread(
            target=self._checkpoint_loop, name="sqlite-checkpoint", daemon=True
        )
        self._checkpointer.start()

    def _raise_node(self) -> int:
        with self.transaction(check_node=False):
            row = self.connection.execute("SELECT value FROM meta WHERE name='node'").fetchone()
            node = (row[0] if row else 0) + 1
            self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('node', ?)", (node,))
        return node

    @contextlib.contextmanager
    def transaction(self, *, check_node: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction: everything inside is written, or nothing of it.

        Raises:
            StoreUnavailable: it could not be written.
            StoreLocked: another process took the file over.
        """
        with self.translated_errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                if check_node:
                    self._check_node()
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        if self._finish_checkpoint.is_set():
            self._restart_wal()

    def append_journal(self, row: int, data: bytes) -> None:
        """Write one journal row, as a transaction of its own or within one.

        Raises:
            StoreUnavailable: it could not be written.
            StoreLocked: another process took the file over.
        """
        with self.translated_errors():
            cursor = self.connection.execute(
                "INSERT INTO journal (id, data)"
                " SELECT ?, ? WHERE (SELECT value FROM meta WHERE name='node') = ?",
                (row, data, self.node),
            )
            if cursor.rowcount != 1:
                raise _taken_over(self.path)

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turn the driver's errors into this package's."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"The store {self.path} cannot be written now ({error}). "
                "Check the disk's free space and the file's permissions; it is tried again."
            ) from error

    def erase(self) -> None:
        """Have the bytes of what was deleted zeroed soon; see rule 5. Callable at any time."""
        self._erase.set()

    def close(self) -> None:
        """Erase, checkpoint, close the file and release its lock. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._checkpointer.join(timeout=5)
        with contextlib.suppress(sqlite3.Error, OSError):
            truncate_wal(self.connection)
            if self._erase.is_set():
                for pages in self._stale_bytes.find(lambda: False):
                    self._stale_bytes.zero(self.connection, pages)
                truncate_wal(self.connection)
        self.connection.close()
        self._stale_bytes.close()
        os.close(self._lock)

    def _check_node(self) -> None:
        row = self.connection.execute("SELECT value FROM meta WHERE name='node'").fetchone()
        if row != (self.node,):
            raise _taken_over(self.path)

    def _restart_wal(self) -> None:
        self._finish_checkpoint.clear()
        with contextlib.suppress(sqlite3.Error):  # retried after the next checkpoint
            self.connection.execute("PRAGMA busy_timeout=0")  # does not wait for readers
            try:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self.connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")

    def _checkpoint_loop(self) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        wal = self.path.with_name(self.path.name + "-wal")
        no_search_until = 0.0
        with contextlib.closing(connection):
            while not self._closing.wait(_CHECKPOINT_SECONDS):
                with contextlib.suppress(sqlite3.Error, OSError):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                    if wal.stat().st_size > _LARGE_WAL:
                        self._finish_checkpoint.set()
                    if not self._erase.is_set() or not truncate_wal(connection):
                        continue
                    if (began := time.monotonic()) >= no_search_until:
                        self._erase.clear()
                        if not self._zero_stale_bytes(connection):
                            self._erase.set()
                        ended = time.monotonic()
                        no_search_until = ended + (ended - began) / _MOST_SEARCHING

    def _zero_stale_bytes(self, connection: sqlite3.Connection) -> bool:
        """Zero them in the whole file. Returns False if some were left."""
        connection.execute("PRAGMA secure_delete=ON").fetchall()
        for pages in self._stale_bytes.find(lambda: self._closing.wait(_PAUSE_SECONDS)):
            if not self._stale_bytes.zero(connection, pages):
                return False
        return not self._closing.is_set()


def _taken_over(path: Path) -> StoreLocked:
    return StoreLocked(f"Another process has taken over the store {path}. This one must end.")


def _lock(path: Path) -> int:
    """Take the lock on a file beside the store. Returns its descriptor."""
    if path.is_dir():
        raise StoreUnusable(f"{path} is a folder. DLS_STORE must name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not path.exists():
            path.touch(mode=0o600)  # private conversations
    except OSError as error:
        raise StoreUnusable(
            f"The store {path} cannot be used ({error.strerror}). "
            "Make its folder writable for this user, or set DLS_STORE to another file."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StoreLocked(
            f"The store {path} is already served by process {owner or '(unknown)'}. "
            "Stop that one, or set DLS_STORE to another file. "
            "Several servers at once need a Redis store."
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        _prepare(connection, path, synchronous)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    check_identity(connection, path)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA secure_delete=ON").fetchall()  # builds of SQLite differ
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA cache_size=-65536")  # KiB
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    connection.create_function("casefold", 1, str.casefold, deterministic=True)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version < SCHEMA_VERSION:
        connection.execute("PRAGMA foreign_keys=OFF")  # see upgrade_3.sql
        connection.executescript(
            f"BEGIN IMMEDIATE;{_statements(version)};PRAGMA application_id={APPLICATION_ID};"
            f"PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
        )
    connection.executescript(resources.files(__package__).joinpath("buckets.sql").read_text())
    connection.execute("PRAGMA foreign_keys=ON")


def _statements(version: int) -> str:
    """What makes a file of this version one of the present version."""
    later = [f"upgrade_{number}.sql" for number in range(version + 1, SCHEMA_VERSION + 1)]
    folder = resources.files(__package__)
    names = later if version else ["schema.sql"]
    return ";".join(folder.joinpath(name).read_text("utf-8") for name in names)


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not a store of this package, or one of a newer version.

    Raises:
        StoreUnusable: it is not.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise StoreUnusable(
            f"{path} is a SQLite database of another program. Set DLS_STORE to another file."
        )
    if version > SCHEMA_VERSION:
        raise StoreUnusable(
            f"The store {path} was written by a newer version (schema {version}, "
            f"this one knows {SCHEMA_VERSION}). Install that version again or use another file."
        )


def unusable(path: Path, error: sqlite3.Error) -> StoreUnusable:
    """The error for a file that cannot be opened, with a hint."""
    hints = {
        "file is not a database": "It is not a SQLite file. Set DLS_STORE to another file.",
        "attempt to write a readonly database": "Make the file and its folder writable.",
        "unable to open database file": "Make the file and its folder readable and writable.",
        "database or disk is full": "Free some space on the disk.",
        "database is locked": "Another program holds the file open for writing. Close it.",
    }
    hint = hints.get(str(error), "Check the file, its folder's permissions and the disk.")
    return StoreUnusable(f"The store {path} cannot be used ({error}). {hint}")
