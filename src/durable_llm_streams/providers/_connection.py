"""Holding a response while its body is read.

A reader must hear of it when the connection is gone. aiohttp (3.14, its C parser) closes the
connection after a broken transfer encoding, such as a proxy makes that writes its own error into a
stream, but leaves whoever reads the body waiting for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp


@contextmanager
def held(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Close the response at the end, which is what ends a provider's work.

    Until then the body's reader gets a `ClientPayloadError` if the connection ends before the body.
    """
    body = response.content

    def tell(closed: asyncio.Future[None] | None) -> None:
        if closed is not None and not closed.cancelled():
            closed.exception()  # which asyncio wants to be looked at
        if not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("The connection ended before the body."))

    connection = response.connection  # None if the whole body is here already
    protocol = connection.protocol if connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is not None:
        closed.add_done_callback(tell)
    elif protocol is not None:
        tell(None)
    try:
        yield
    finally:
        if closed is not None:
            closed.remove_done_callback(tell)
        response.close()
