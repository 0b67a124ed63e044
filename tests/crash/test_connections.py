"""A connection that is cut at the worst moment: on the server's event loop, which is uvloop's."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.scripts import CHECK

uvloop = pytest.importorskip("uvloop")

#: Now and then one is cut between the opening and the first command. So many meet that moment.
CONNECTIONS = 1000


@contextlib.contextmanager
def resetting() -> Iterator[int]:
    """A port where every connection is accepted and reset."""

    def reset_all() -> None:
        with contextlib.suppress(OSError):  # closed: it is over
            while True:
                connection, _ = listener.accept()
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reset_all)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.promise("outage")
def test_a_connection_that_is_reset_while_it_is_opened_is_an_outage() -> None:
    async def call_again_and_again(port: int) -> None:
        database = Database(RedisAddress.parse(f"redis://127.0.0.1:{port}"))
        try:
            for _ in range(CONNECTIONS):
                with pytest.raises(StoreUnavailable):
                    await database.call(CHECK, ["{dls:0}"], [])
        finally:
            await database.close()

    with resetting() as port:
        uvloop.run(call_again_and_again(port))
