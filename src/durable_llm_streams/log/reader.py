"""The readers of logs, which pull.

A reader sees what the store returns, and the store returns what is committed. It asks for what
comes after its last record. So there is no seam between catching up and following live, and a slow
reader holds nothing but its own page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from durable_llm_streams.errors import CursorLost
from durable_llm_streams.model import Cursor, token_at
from durable_llm_streams.store import PAGE_BYTES, LogReader, Page


def token_after(page: Page, after: int, token: str | None) -> str | None:
    """The rule of every reader: what comes after a record belongs to it only if the record stands.

    A store that lost the tail of a log may have got other text there since, from another epoch.

    Args:
        page: what was read from `after` + 1 on.
        after: the reader's last record; 0 for none.
        token: of the epoch that wrote it; None for a reader without a record.

    Returns:
        The same for the page's last record.

    Raises:
        CursorLost: another epoch wrote that record.
    """
    if token is not None and token_at(page.spans, after) != token:
        raise CursorLost
    return token_at(page.spans, page.last) if page.records or token is not None else None


def token_of(place: Cursor) -> str | None:
    """What `token_after` compares for a reader that goes on from a cursor."""
    return place.token if place.seq else None


async def check_cursor(store: LogReader, place: Cursor) -> Page:
    """See that a log holds the record that a cursor names, written by the same epoch.

    Returns:
        The beginning of what comes after it.

    Raises:
        CursorLost: it does not.
        RunNotFound: no such run.
    """
    page = await store.read(place.run_id, place.seq, max_bytes=1)
    token_after(page, place.seq, token_of(place))
    return page


async def follow(
    store: LogReader, place: Cursor, *, wait: float, max_bytes: int = PAGE_BYTES
) -> AsyncGenerator[Page, None]:
    """A run's log from a cursor to its end, page by page.

    An empty page says that nothing came for `wait` seconds. The generator ends after the terminal
    record.

    Raises:
        CursorLost: the log does not hold the cursor's record, or has lost records that were read
            here.
        RunNotFound: no such run.
        StoreUnavailable: the store was closed, or does not answer now.
    """
    after, token = place.seq, token_of(place)
    while True:
        page = await store.read(place.run_id, after, max_bytes=max_bytes, wait=wait)
        token = token_after(page, after, token)
        after += len(page.records)
        yield page
        if page.status.ended and after + 1 >= page.next_seq:
            return


async def read_all(store: LogReader, run_id: str) -> tuple[list[bytes], Page]:
    """A run's whole log as it is now, and the last page of it."""
    records: list[bytes] = []
    while True:
        page = await store.read(run_id, len(records))
        records += page.records
        if page.last + 1 >= page.next_seq:
            return records, page
