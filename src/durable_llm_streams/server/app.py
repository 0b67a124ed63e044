"""The application: routes over a given store and worker."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from durable_llm_streams._version import __version__
from durable_llm_streams.errors import DurableError, InvalidSetting
from durable_llm_streams.runs import Worker
from durable_llm_streams.store import Store

from . import answers, chats, feed, health, introduction, sending
from .authentication import Authenticate
from .config import ServerConfig
from .cross_origin import CrossOrigin
from .problems import handle_durable_error, handle_http_exception, handle_unexpected, problem
from .site import Site
from .state import AppState
from .streaming_app import StreamingApp
from .ui import BUILT, add_interface
from .visitors import anonymous

_ROUTERS: Final = (
    sending.router,
    answers.router,
    chats.router,
    feed.router,
    introduction.router,
    health.router,
)


def create_app(
    store: Store,
    worker: Worker,
    config: ServerConfig,
    *,
    authenticate: Authenticate | None = None,
    ui: Path | None = BUILT,
) -> StreamingApp:
    """Make the ASGI application.

    It opens the store, starts the worker and closes the worker. The caller closes the store.

    At the lifespan's end the runs are given back at once, without `Limits.grace`: by then the
    server has closed its connections. A server that wants the grace does as `dls serve` does. On
    SIGTERM it awaits `app.state.durable.finish()`, then `app.state.durable.hand_over()`, both
    before it waits for its connections, because streams do not end by themselves.

    Args:
        store: where everything is.
        worker: executes runs of this store.
        config: see `ServerConfig`.
        authenticate: identifies the principal of a request; by default each is an anonymous
            visitor with a signed cookie.
        ui: the folder of the built web interface, by default the package's own; None for none.

    Raises:
        InvalidSetting: a setting about other sites is invalid; the text says what to change.
    """
    site = Site.checked(config.base_path, config.cors_origins, config.frame_ancestors)
    state = AppState(store, worker, config, authenticate)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        await store.open()
        if state.authenticate is None:
            secret = await store.meta("secret", secrets.token_bytes(32))
            state.authenticate = anonymous(secret, cross_site=site.shared)
        await worker.start()
        try:
            yield
        finally:
            await state.hand_over()

    app = StreamingApp(
        title="Durable LLM Streams",
        version=__version__,
        description="LLM answers that survive.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.base_path = site.base_path
    if site.shared:
        app.outermost = CrossOrigin(app.answer, site.cors_origins)
    app.state.durable = state
    for router in _ROUTERS:
        app.include_router(router)
    add_interface(app, ui, site.frame_ancestors)
    _check_base_path(app, site.base_path)
    app.add_exception_handler(DurableError, handle_durable_error)
    app.add_exception_handler(HTTPException, handle_http_exception)
    app.add_exception_handler(RequestValidationError, _handle_invalid)
    app.add_exception_handler(Exception, handle_unexpected)
    return app


def _check_base_path(app: FastAPI, base: str) -> None:
    """Refuse a base path that is also a route: proxies may pass requests on with it or without."""
    if not base:
        return
    scope = {"type": "http", "method": "GET", "path": base}
    for route in (*app.routes, *(route for router in _ROUTERS for route in router.routes)):
        path = str(getattr(route, "path", ""))
        if path.startswith(f"{base}/") or route.matches(scope)[0] is not Match.NONE:
            raise InvalidSetting(
                f"DLS_BASE_PATH cannot be `{base}`: this is a path of the application itself. "
                "Choose another one, such as `/chat`."
            )


async def _handle_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return problem(400, "invalid-request", "Invalid request", f"`{name}`: {first['msg']}.")
