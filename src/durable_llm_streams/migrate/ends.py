"""Opens the two stores of a migration."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from durable_llm_streams.errors import InvalidSetting, StoreLocked, StoreUnusable
from durable_llm_streams.store import Retention
from durable_llm_streams.stores import (
    SQLiteView,
    is_sqlite,
    open_store,
    sqlite_path,
    without_password,
)
from durable_llm_streams.stores.sqlite import Synchronous

from .portable import Portable
from .sqlite import PortableSQLite


@asynccontextmanager
async def opened(
    source: str, target: str, retention: Retention, synchronous: Synchronous
) -> AsyncGenerator[tuple[Portable, Portable], None]:
    """Both stores, open until the block ends.

    Args:
        source: the address of a store that exists.
        target: the address of another store; it is created if it does not exist.
        retention: of the target.
        synchronous: of an SQLite file, see `DatabaseFile`.

    Raises:
        InvalidSetting: an address is invalid, or both are the same.
        StoreLocked: one is an SQLite file that a server uses.
        StoreUnusable: the source does not exist, or a store cannot be used.
        StoreUnavailable: a store cannot be used now.
    """
    from_path, to_path = _path(source), _path(target)
    if from_path is not None and to_path is not None and _same_file(from_path, to_path):
        raise _same(source)
    reading = await _open(source, from_path, retention, synchronous, must_exist=True)
    try:
        writing = await _open(target, to_path, retention, synchronous, must_exist=False)
        try:
            if from_path is None and to_path is None and await _one_redis(reading, writing):
                raise _same(source)
            yield reading, writing
        finally:
            await writing.close()
    finally:
        await reading.close()


async def _open(
    address: str,
    path: Path | None,
    retention: Retention,
    synchronous: Synchronous,
    *,
    must_exist: bool,
) -> Portable:
    if path is None:
        return await _open_redis(address, retention, must_exist=must_exist)
    if must_exist:
        _must_be_there(path)
        await SQLiteView(path).close()  # a file that is not a store must not become one
    try:
        return PortableSQLite(path, synchronous)
    except StoreLocked as error:
        raise StoreLocked(
            f"A server is running on {path}. Stop it, and start the migration again."
        ) from error


def _must_be_there(path: Path) -> None:
    if not path.is_file():
        raise StoreUnusable(f"There is no store at {path}. Name the file that the server uses.")


async def _open_redis(address: str, retention: Retention, *, must_exist: bool) -> Portable:
    open_store(address)  # does not connect yet, but raises for an invalid address
    from durable_llm_streams.stores.redis import RedisAddress

    from .redis import PortableRedis

    store = PortableRedis(RedisAddress.parse(address), retention)
    try:
        await store.open(must_exist=must_exist)
    except BaseException:
        await store.close()
        raise
    return store


async def _one_redis(reading: Portable, writing: Portable) -> bool:
    from .redis import PortableRedis

    assert isinstance(reading, PortableRedis)
    assert isinstance(writing, PortableRedis)
    return await writing.is_also(reading)


def _path(address: str) -> Path | None:
    """The file of an SQLite store; None for Redis."""
    return sqlite_path(address) if is_sqlite(address) else None


def _same_file(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _same(address: str) -> InvalidSetting:
    return InvalidSetting(
        f"Source and target are the same store, {without_password(address)}. Name another target."
    )
