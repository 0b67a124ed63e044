"""The store on one SQLite file."""

from .file import Synchronous
from .readonly import SQLiteView
from .store import SQLiteStore

__all__ = ["SQLiteStore", "SQLiteView", "Synchronous"]
