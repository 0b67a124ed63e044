"""One database each; `open_store` finds the one that an address names."""

from .opening import View, is_sqlite, open_store, sqlite_path, view, without_password
from .sqlite import SQLiteStore, SQLiteView
from .upstash import upstash_address

__all__ = [
    "SQLiteStore",
    "SQLiteView",
    "View",
    "is_sqlite",
    "open_store",
    "sqlite_path",
    "upstash_address",
    "view",
    "without_password",
]
