"""One database each; `open_store` finds the one that an address names."""

from __future__ import annotations

from pathlib import Path

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.store import Store

from .sqlite import SQLiteStore, SQLiteView, Synchronous

__all__ = ["SQLiteStore", "SQLiteView", "open_store", "sqlite_path"]

_SQLITE = "sqlite:///"


def sqlite_path(address: str) -> Path:
    """The file of an address: `sqlite:///data/chats.db`, `sqlite:////var/chats.db`.

    Raises:
        InvalidSetting: it is no such address.
    """
    path = address.removeprefix(_SQLITE)
    if path == address or not path or "\0" in path:
        raise InvalidSetting(
            f"DLS_STORE is {address!r}. Write sqlite:///PATH, such as sqlite:///data/chats.db "
            "(relative) or sqlite:////var/lib/chats.db (absolute)."
        )
    return Path(path)


def open_store(address: str, *, synchronous: Synchronous = "NORMAL") -> Store:
    """Open a store for serving.

    Args:
        address: see `sqlite_path`.
        synchronous: SQLite: `NORMAL` survives a killed process, `FULL` also a power failure.

    Raises:
        InvalidSetting: the address is none.
        StoreLocked: another process serves it.
        StoreUnusable: it is no store, cannot be written, or is too new.
    """
    return SQLiteStore(sqlite_path(address), synchronous=synchronous)
