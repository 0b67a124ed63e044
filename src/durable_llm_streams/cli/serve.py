"""`dls serve`: the store, the provider and the server, put together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from durable_llm_streams._version import __version__
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.runs import Worker
from durable_llm_streams.server import ServerConfig, create_app
from durable_llm_streams.server.context import Context
from durable_llm_streams.stores import open_store, without_password

from .provider import provider
from .settings import Settings, load, unknown

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 3
_BACKLOG = 4096


class Server(uvicorn.Server):
    """Lets streams go before it waits for connections to end: they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As usual, but the process does not die of the signal: the store is still to be closed."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as usual."""
        context = self._app.state.durable
        assert isinstance(context, Context)
        context.drain()
        await super().shutdown(sockets)


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
    with _listen(settings) as listener:
        _run(settings, listener)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it tokens wait for others.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that no name can be
        listener.close()
        reason = getattr(error, "strerror", None) or "not an address"
        raise InvalidSetting(
            f"Cannot listen on {settings.host}, port {settings.port} ({reason}). "
            "Set DLS_PORT or DLS_HOST to another one, or end the program that uses it."
        ) from error
    return listener


def _run(settings: Settings, listener: socket.socket) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(settings, listener))
    else:
        uvloop.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    chosen = provider(settings)
    address = settings.store_address()
    store = open_store(
        address,
        synchronous=settings.sqlite_synchronous,
        economy=settings.redis_economy,
        log_age=settings.retention_log,
        chat_age=settings.retention_chats,
    )
    try:
        await store.open()
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
        )
        app = create_app(store, worker, config)
        host, port = listener.getsockname()[:2]
        logger.info("Durable LLM Streams %s on http://%s:%d", __version__, host, port)
        logger.info("Answers come from %s.", chosen.name)
        logger.info("Everything is kept in %s.", without_password(address))
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        server = Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                server_header=False,
            ),
            app,
        )
        await server.serve(sockets=[listener])
    finally:
        await chosen.source.close()
        await store.close()
