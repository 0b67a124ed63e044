"""A reader of a response's body must hear of it when the connection is gone.

aiohttp (3.14, its C parser) closes the connection after a broken transfer encoding, such as a proxy
makes that writes its own error into a stream, but leaves whoever reads the body waiting for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp


def watch(response: aiohttp.ClientResponse) -> Callable[[], None]:
    """Raise `ClientPayloadError` in the body's reader if the connection ends before the body.

    Returns:
        What ends the watch.
    """
    connection = response.connection
    protocol = connection.protocol if connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is None:  # the whole body is here already
        return _nothing

    def tell(closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # which asyncio wants to be looked at
        body = response.content
        if not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("The connection ended before the body."))

    closed.add_done_callback(tell)

    def end() -> None:
        closed.remove_done_callback(tell)

    return end


def _nothing() -> None:
    pass
