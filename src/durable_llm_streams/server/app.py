"""The application: routes over a given store and worker."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Sequence
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

from . import answers, chats, devices, feed, health, introduction, sending
from .api_page import add_api_page
from .authentication import Authenticate
from .config import ServerConfig
from .cross_origin import CrossOrigin, ForeignRequests
from .edge import Hosts
from .problems import handle_durable_error, handle_http_exception, handle_unexpected, problem
from .safeguards import Safeguards
from .sign_outs import SignOuts
from .site import Site
from .state import AppState
from .streaming_app import StreamingApp
from .ui import BUILT, add_interface
from .visitors import Visitors

_ROUTERS: Final = (
    sending.router,
    answers.router,
    chats.router,
    feed.router,
    introduction.router,
    devices.router,
    health.router,
)


def create_app(
    store: Store,
    worker: Worker,
    config: ServerConfig,
    *,
    authenticate: Authenticate | None = None,
    ui: Path | None = BUILT,
    keys: Sequence[bytes] = (),
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
        keys: what signs the visitors' cookies instead of the store's secret: the first one signs,
            all of them verify, and so does the secret.

    Raises:
        InvalidSetting: a setting about hosts or other sites is invalid; its text says more.
    """
    site = Site.checked(config.base_path, config.cors_origins, config.frame_ancestors)
    state = AppState(store, worker, config, authenticate)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        await store.open()
        async with contextlib.AsyncExitStack() as stack:
            if state.authenticate is None:
                state.visitors = await _visitors(state, site, keys)
                state.authenticate = state.visitors
                await stack.enter_async_context(_watching(state))
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
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json" if config.docs else None,
    )
    app.base_path = site.base_path
    answer = CrossOrigin(app.answer, site.cors_origins) if site.shared else app.answer
    foreign = ForeignRequests(site.cors_origins)
    app.outermost = Safeguards(answer, Hosts(config.hosts), foreign, site.base_path)
    app.state.durable = state
    for router in _ROUTERS:
        app.include_router(router)
    if config.docs:
        add_api_page(app)
    add_interface(app, ui, site.frame_ancestors)
    _check_base_path(app, site.base_path)
    app.add_exception_handler(DurableError, handle_durable_error)
    app.add_exception_handler(HTTPException, handle_http_exception)
    app.add_exception_handler(RequestValidationError, _handle_invalid)
    app.add_exception_handler(Exception, handle_unexpected)
    return app


async def _visitors(state: AppState, site: Site, keys: Sequence[bytes]) -> Visitors:
    """The visitors of a store that is open."""
    store, age = state.store, state.config.cookie_age
    sign_outs = SignOuts(store.visitors, age)
    await sign_outs.open()
    now = str(sign_outs.now()).encode()
    return Visitors(
        await store.meta("secret", secrets.token_bytes(32)),
        keys=keys,
        now=sign_outs.now,
        cross_site=site.shared,
        age=age,
        since=float(await store.meta("cookies-since", now)),
        sign_outs=sign_outs,
    )


@asynccontextmanager
async def _watching(state: AppState) -> AsyncGenerator[None, None]:
    """Meanwhile, streams of visitors who sign out end."""
    assert state.visitors is not None
    assert state.visitors.sign_outs is not None
    task = asyncio.create_task(state.visitors.sign_outs.watch(state.streams), name="sign-outs")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


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
