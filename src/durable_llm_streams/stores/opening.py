"""Finds the store that an address names."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.redaction import without_secrets
from durable_llm_streams.store import LogReader, Retention, RunList, Store

from .sqlite import SQLiteStore, SQLiteView, Synchronous

if TYPE_CHECKING:
    from .redis import RedisStore

_SQLITE = "sqlite:///"
_REDIS = ("redis:", "rediss:", "redis+", "rediss+", "unix:")


def is_sqlite(address: str) -> bool:
    """Whether an address names an SQLite file; it may still be invalid."""
    return address.startswith("sqlite:")


def sqlite_path(address: str) -> Path:
    """The file of an address: `sqlite:///data/chats.db`, `sqlite:////var/chats.db`.

    Raises:
        InvalidSetting: the address is invalid.
    """
    path = address.removeprefix(_SQLITE)
    if path == address or not path or "\0" in path:
        raise _invalid(address)
    return Path(path)


def without_password(address: str) -> str:
    """An address as it may be logged: without user, password and options."""
    return address.partition("?")[0] if is_sqlite(address) else without_secrets(address)


def open_store(
    address: str,
    *,
    retention: Retention | None = None,
    synchronous: Synchronous = "NORMAL",
    economy: bool = False,
) -> Store:
    """A store for serving. Its `open` makes it ready.

    Args:
        address: `sqlite:///PATH`, or a Redis, see `stores/redis/client/address.py`.
        retention: how long things are kept.
        synchronous: SQLite: `NORMAL` survives a killed process, `FULL` also a power failure.
        economy: Redis: spare commands, where each one is paid for.

    Raises:
        InvalidSetting: the address is invalid, or a package that it needs is not installed.
        StoreLocked: another process serves it.
        StoreUnusable: it is not a store, cannot be written, or is too new.
    """
    if _is_file(address):
        return SQLiteStore(sqlite_path(address), retention=retention, synchronous=synchronous)
    return _redis_store(address, retention, economy=economy)


def _redis_store(address: str, retention: Retention | None, *, economy: bool) -> RedisStore:
    try:
        from .redis import RedisAddress, RedisStore
    except ModuleNotFoundError as error:
        if error.name != "hiredis":
            raise
        raise InvalidSetting(
            "A store on Redis needs one more package: pip install 'durable-llm-streams[redis]'."
        ) from None
    return RedisStore(RedisAddress.parse(address), retention=retention, economy=economy)


class View(NamedTuple):
    """A store, read while other processes serve it."""

    log: LogReader
    runs: RunList


@asynccontextmanager
async def view(address: str) -> AsyncGenerator[View, None]:
    """Open a store for reading while its servers run.

    Args:
        address: as for `open_store`.

    Raises:
        InvalidSetting: the address is invalid.
        StoreUnusable: there is no store.
    """
    if _is_file(address):
        reader = SQLiteView(sqlite_path(address))
        try:
            yield View(reader, reader)
        finally:
            await reader.close()
        return
    store = _redis_store(address, None, economy=False)
    await store.open()
    try:
        yield View(store.log, store.operators)
    finally:
        await store.close()


def _invalid(address: str) -> InvalidSetting:
    return InvalidSetting(
        f"The store's address, DLS_STORE, is {without_password(address)!r}. Write sqlite:///PATH, "
        "such as sqlite:///data/chats.db (relative) or sqlite:////var/lib/chats.db (absolute), "
        "or the address of a Redis, such as redis://localhost:6379/0."
    )


def _is_file(address: str) -> bool:
    """Whether an address names a file; if not, it names a Redis. Raises InvalidSetting."""
    if is_sqlite(address):
        return True
    if not address.startswith(_REDIS):
        raise _invalid(address)
    return False
