"""One database each; `open_store` finds the one that an address names."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.model import Run
from durable_llm_streams.store import LogReader, Store

from .sqlite import SQLiteStore, SQLiteView, Synchronous
from .upstash import upstash_address

__all__ = [
    "SQLiteStore",
    "SQLiteView",
    "is_sqlite",
    "open_store",
    "sqlite_path",
    "upstash_address",
    "view",
    "without_password",
]

_SQLITE = "sqlite:///"
_REDIS = ("redis:", "rediss:", "redis+", "rediss+", "unix:")
_DAY = 24 * 3600.0


def is_sqlite(address: str) -> bool:
    """Whether an address names an SQLite file, well or badly."""
    return address.startswith("sqlite:")


def sqlite_path(address: str) -> Path:
    """The file of an address: `sqlite:///data/chats.db`, `sqlite:////var/chats.db`.

    Raises:
        InvalidSetting: it is no such address.
    """
    path = address.removeprefix(_SQLITE)
    if path == address or not path or "\0" in path:
        raise _no_address(address)
    return Path(path)


def without_password(address: str) -> str:
    """An address that may stand in a log: no password, and no options, which may hold one."""
    return re.sub(r"(^|://)[^/]*@", r"\1***@", address.partition("?")[0])


def open_store(
    address: str,
    *,
    synchronous: Synchronous = "NORMAL",
    economy: bool = False,
    log_age: float = _DAY,
    chat_age: float = 365 * _DAY,
) -> Store:
    """A store for serving. Its `open` makes it ready.

    Args:
        address: `sqlite:///PATH`, or a Redis, as `stores/redis/address.py` tells.
        synchronous: SQLite: `NORMAL` survives a killed process, `FULL` also a power failure.
        economy: Redis: spare commands, where they are paid for one by one.
        log_age: Redis: seconds from a run's end after which its log goes by itself.
        chat_age: Redis: seconds from a chat's last change after which it goes by itself; 0: never.

    Raises:
        InvalidSetting: the address is none, or what is needed for it is not installed.
        StoreLocked: another process serves it.
        StoreUnusable: it is no store, cannot be written, or is too new.
    """
    if _is_file(address):
        return SQLiteStore(sqlite_path(address), synchronous=synchronous)
    try:
        from .redis import RedisAddress, RedisStore, Retention
    except ModuleNotFoundError as error:
        if error.name not in {"redis", "hiredis"}:
            raise
        raise InvalidSetting(
            "A store on Redis needs a package more: pip install 'durable-llm-streams[redis]'."
        ) from None
    return RedisStore(
        RedisAddress.parse(address), retention=Retention(log_age, chat_age), economy=economy
    )


class View(LogReader, Protocol):
    """A store, looked at while others serve it."""

    async def runs(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        """See `RunStore.runs`."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


@asynccontextmanager
async def view(address: str) -> AsyncGenerator[View, None]:
    """Look at a store from beside its servers.

    Args:
        address: as for `open_store`.

    Raises:
        InvalidSetting: the address is none.
        StoreUnusable: there is no store.
    """
    if _is_file(address):
        found: View = SQLiteView(sqlite_path(address))
    else:
        store = open_store(address)
        await store.open()
        found = store
    try:
        yield found
    finally:
        await found.close()


def _no_address(address: str) -> InvalidSetting:
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
        raise _no_address(address)
    return False
