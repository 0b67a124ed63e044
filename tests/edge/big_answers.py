"""A server whose answers are large: `python -m tests.edge.big_answers DESCRIPTORS LIMITS`.

It has the edge of `dls serve`, and the same event loop. It prints its port.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys

import msgspec
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from durable_llm_streams.server.edge import EdgeLimits
from durable_llm_streams.server.edge.serving import for_this_process, guarded

BIG = 5_000_000

#: One is made at a time: the test measures what unread answers hold, not what makes them.
making = asyncio.Semaphore(1)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """`/big` is answered with 5 MB that nothing else holds, everything else with `ok`."""
    if scope["type"] != "http":
        return
    if Request(scope).url.path != "/big":
        await Response(b"ok\n")(scope, receive, send)
        return
    async with making:
        await Response(b"x" * BIG)(scope, receive, send)
        await asyncio.sleep(0.001)  # the loop closes what was cut


async def main(descriptors: int, limits: EdgeLimits) -> None:
    """Serve until the process is killed."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        answer,
        http=guarded(for_this_process(limits), ""),
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    chosen = msgspec.json.decode(sys.argv[2], type=EdgeLimits)
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(int(sys.argv[1]), chosen))
    else:
        uvloop.run(main(int(sys.argv[1]), chosen))
