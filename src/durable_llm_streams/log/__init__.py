"""The log of a run: writers with group commit, readers by cursor."""

from .reader import Reader, follow, read_all
from .writer import FULL, Flusher, LogWriter

__all__ = [
    "FULL",
    "Flusher",
    "LogWriter",
    "Reader",
    "follow",
    "read_all",
]
