"""`dls serve`: the store, the provider and the server, put together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
from collections.abc import Generator, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from durable_llm_streams._version import __version__
from durable_llm_streams.runs import Worker
from durable_llm_streams.server import ServerConfig, create_app
from durable_llm_streams.server.forwarded import behind_proxies
from durable_llm_streams.server.state import AppState
from durable_llm_streams.stores import open_store, without_password

from .listening import listen, place
from .provider import provider, with_models
from .settings import Settings, load, unknown

logger = logging.getLogger(__name__)

#: How long a connection without a request is kept. Proxies keep theirs for 60 s by default, and
#: whoever sends must be the one who closes first.
KEEP_ALIVE_SECONDS = 75

_CONNECTIONS_SECONDS = 3
_PROXIES = "127.0.0.1,::1"  # on this machine: `localhost` is either
_BACKLOG = 4096


class Server(uvicorn.Server):
    """Ends by plan: finishes what is being written, hands the rest over, lets the streams go.

    SIGTERM, which is what programs send, gives what is being written its grace. Ctrl-C does not:
    somebody sits there and waits. A second signal ends the grace, a further Ctrl-C the waiting for
    connections.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._at_once = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        if self._at_once.is_set():
            self.force_exit = self.force_exit or sig == signal.SIGINT
        elif self.should_exit or sig != signal.SIGTERM:
            # The loop may be asleep: what a signal's handler does would not wake it.
            asyncio.get_running_loop().call_soon_threadsafe(self._at_once.set)
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As usual, but the process does not die of the signal: the store is still to be closed."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish or hand over what is being written, then end as usual.

        The port stays open during the grace: who comes can read, and balancers hear that this
        server takes no work. It is closed before the streams end, so that whoever comes back finds
        another server, or none, but not this one.
        """
        context = self._app.state.durable
        assert isinstance(context, AppState)
        # A connection that is kept would be closed under a request that is just on its way.
        headers = self.server_state.default_headers
        self.server_state.default_headers = [*headers, (b"connection", b"close")]
        await self._finish(context)
        for server in self.servers:
            server.close()
        await context.hand_over()
        await super().shutdown(sockets)

    async def _finish(self, context: AppState) -> None:
        worker = context.worker
        if worker.running and worker.limits.grace and not self._at_once.is_set():
            logger.info(
                "Finishing %d answers, for %g seconds at the most; another signal hands them over.",
                worker.running,
                worker.limits.grace,
            )
        finishing = asyncio.create_task(context.finish())
        hurrying = asyncio.create_task(self._at_once.wait())
        await asyncio.wait({finishing, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        finishing.cancel()
        hurrying.cancel()
        await asyncio.wait({finishing, hurrying})


def serve() -> None:
    """Serve until a signal comes.

    Raises:
        DurableError: it cannot start; the text says what to change.
    """
    settings = load()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in unknown():
        logger.warning("%s is not a setting. `dls settings` lists them.", name)
    with contextlib.ExitStack() as stack:
        listeners = listen(settings.host, settings.port)
        for listener in listeners:
            stack.enter_context(listener)
        _run(settings, listeners)


def _run(settings: Settings, listeners: Sequence[socket.socket]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(settings, listeners))
    else:
        uvloop.run(_serve(settings, listeners))


async def _serve(settings: Settings, listeners: Sequence[socket.socket]) -> None:
    chosen = provider(settings)
    address = settings.store_address()
    store = open_store(
        address,
        synchronous=settings.sqlite_synchronous,
        economy=settings.redis_economy,
        retention=settings.retention(),
    )
    try:
        await store.open()
        chosen = await with_models(chosen)
        worker = Worker(
            store,
            chosen.source,
            name=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            system=settings.system_prompt,
            limits=settings.limits(),
        )
        config = ServerConfig(
            models=chosen.models,
            on_busy=settings.on_busy,
            max_message_bytes=settings.max_message_bytes,
            store_patience=settings.store_patience,
            base_path=settings.base_path,
            cors_origins=settings.cors_origins,
            frame_ancestors=settings.frame_ancestors,
        )
        app = create_app(store, worker, config)
        where = place(listeners, app.base_path)
        logger.info("Durable LLM Streams %s on %s", __version__, where)
        logger.info("Answers come from %s.", chosen.name)
        logger.info("Everything is kept in %s.", without_password(address))
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        server = Server(
            uvicorn.Config(
                behind_proxies(app, os.environ.get("FORWARDED_ALLOW_IPS", _PROXIES)),
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                log_config=None,
                log_level="warning",
                access_log=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_CONNECTIONS_SECONDS,
                server_header=False,
            ),
            app,
        )
        await server.serve(sockets=list(listeners))
    finally:
        await chosen.source.close()
        await store.close()
