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
from durable_llm_streams.server.edge import EdgeLimits, RepeatedLines, accepted_hosts
from durable_llm_streams.server.edge.serving import for_this_process, guarded
from durable_llm_streams.server.forwarded import behind_proxies
from durable_llm_streams.server.state import AppState
from durable_llm_streams.stores import open_store, without_password

from .keys import read_keys
from .listening import listen, url_of
from .provider import provider, with_models
from .public import check_public
from .settings import Settings, load, unknown

logger = logging.getLogger(__name__)

#: The timeout of an idle connection. Proxies close theirs after 60 s by default, and the sender of
#: requests must be the first to close.
KEEP_ALIVE_SECONDS = 75

_CONNECTIONS_SECONDS = 3
_PROXIES = "127.0.0.1,::1"  # on this machine: `localhost` is either
_BACKLOG = 4096
_BODY_PER_MESSAGE = 4  # the client's view of the conversation, and what escapes add


class Server(uvicorn.Server):
    """Shuts down gracefully: finishes answers, hands the rest over, then closes the streams.

    SIGTERM, which service managers send, begins the grace period for the current answers. Ctrl-C
    skips it: a person is waiting. A second signal ends the grace period, and one more Ctrl-C ends
    the waiting for connections.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._skip_grace = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self._skip_grace.is_set():
            self.force_exit = self.force_exit or sig == signal.SIGINT
        elif self.should_exit or sig != signal.SIGTERM:
            # Only a thread-safe call wakes the event loop from a signal handler.
            asyncio.get_running_loop().call_soon_threadsafe(self._skip_grace.set)
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As in uvicorn, but the signal does not kill the process: the store must be closed."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish or hand over the current answers, then shut down as usual.

        The port stays open during the grace period: clients can read, and load balancers see that
        this server accepts no work. It is closed before the streams end, so that clients do not
        reconnect to this server.
        """
        context = self._app.state.durable
        assert isinstance(context, AppState)
        # An idle connection could be closed just when the client sends a request.
        headers = self.server_state.default_headers
        self.server_state.default_headers = [*headers, (b"connection", b"close")]
        await self._finish(context)
        for server in self.servers:
            server.close()
        await context.hand_over()
        await super().shutdown(sockets)

    async def _finish(self, context: AppState) -> None:
        worker = context.worker
        if worker.running and worker.limits.grace and not self._skip_grace.is_set():
            logger.info(
                "Finishing %d answers, for at most %g seconds; another signal hands them over.",
                worker.running,
                worker.limits.grace,
            )
        finishing = asyncio.create_task(context.finish())
        skipping = asyncio.create_task(self._skip_grace.wait())
        await asyncio.wait({finishing, skipping}, return_when=asyncio.FIRST_COMPLETED)
        finishing.cancel()
        skipping.cancel()
        await asyncio.wait({finishing, skipping})


def serve() -> None:
    """Serve until a signal comes.

    Raises:
        DurableError: the server cannot start; the sentence says what to change.
    """
    settings = load()
    written = logging.StreamHandler()
    written.addFilter(RepeatedLines())
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[written],
    )
    for name in unknown():
        logger.warning("%s is not a setting. `dls settings` lists them.", name)
    check_public(settings)
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
    keys = read_keys(settings.secret_file)
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
            max_body_bytes=_BODY_PER_MESSAGE * settings.max_message_bytes,
            store_patience=settings.store_patience,
            new_visitors=settings.new_visitors_an_hour(),
            base_path=settings.base_path,
            cors_origins=settings.cors_origins,
            frame_ancestors=settings.frame_ancestors,
            hosts=accepted_hosts(settings.hosts, settings.host),
            docs=settings.docs == "on",
            cookie_age=settings.visitor_age,
            quotas=settings.quotas(),
        )
        app = create_app(store, worker, config, keys=keys)
        where = url_of(listeners, app.base_path)
        logger.info("Durable LLM Streams %s on %s", __version__, where)
        logger.info("Answers come from %s.", chosen.name)
        logger.info("Everything is kept in %s.", without_password(address))
        # All objects until here live as long as the process: the collector can skip them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        limits = EdgeLimits(connections_per_address=settings.connections_per_address)
        proxies = os.environ.get("FORWARDED_ALLOW_IPS", _PROXIES)
        server = Server(
            uvicorn.Config(
                behind_proxies(app, proxies),
                http=guarded(for_this_process(limits), proxies),
                ws="none",
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
