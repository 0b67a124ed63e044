"""The journal: its bytes, and how logs lie in the file.

Theory of operation
===================
1. A flush of all runs is one journal row: writing keys per run would dirty one page per run.
2. What a run wrote since its last segment is its tail. The tail is in memory, for the readers, and
   in the journal, for the next process.
3. When a tail is large or old, it becomes a segment, in the same transaction as the flush that made
   it so. Journal rows below every tail are deleted.
4. Opening the file replays the journal: records beyond a run's segments are its tail.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from durable_llm_streams.model import Span

#: A tail becomes a segment when it is larger than this many bytes …
SEGMENT_BYTES = 16 * 1024
#: … or older than this many milliseconds.
SEGMENT_AGE = 10_000

_ITEM = Layout("<QIII")  # run key, first sequence number, count of records, bytes

#: What stands before the joined records of one run in a journal row.
item_head: Final = _ITEM.pack


class Item(Struct, frozen=True, gc=False):
    """The records that one flush wrote for one run, joined by line feeds."""

    run_key: int
    first: int
    length: int
    data: bytes


def unpack(row: bytes) -> Iterator[Item]:
    """The items of a journal row."""
    position = 0
    while position < len(row):
        run_key, first, length, size = _ITEM.unpack_from(row, position)
        position += _ITEM.size
        yield Item(run_key, first, length, row[position : position + size])
        position += size


def with_span(spans: tuple[Span, ...], span: Span) -> tuple[Span, ...]:
    """Add a span; one that wrote nothing gives way."""
    if spans and spans[-1].first == span.first:
        spans = spans[:-1]
    return (*spans, span)
