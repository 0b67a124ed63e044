"""The log of a run: writers that batch, readers that pull."""

from .reader import check_cursor, follow, read_all, token_after, token_of
from .writer import FULL, Flusher, LogWriter

__all__ = [
    "FULL",
    "Flusher",
    "LogWriter",
    "check_cursor",
    "follow",
    "read_all",
    "token_after",
    "token_of",
]
