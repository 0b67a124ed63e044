"""The format of the journal, and how logs are stored in the file.

Theory of operation
===================
1. A batch is one journal row: a row for each run would dirty a page for each run.
2. The records of a run since its last segment are its tail. The tail is in memory, for the readers,
   and in the journal, for the next process.
3. When a tail is large or old, it becomes a segment, in the transaction of the current flush.
   Journal rows that no tail needs are deleted.
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

#: The header before the joined records of one run in a journal row.
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
    """Add a span. It replaces the last one if that one has no records."""
    if spans and spans[-1].first == span.first:
        spans = spans[:-1]
    return (*spans, span)
