"""The state that the routes of an application share: the store, the worker, the open streams."""

from __future__ import annotations

from starlette.requests import Request

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.runs import Worker
from durable_llm_streams.store import Store

from .authentication import Authenticate, identify
from .config import ServerConfig
from .newcomers import Newcomers
from .open_streams import OpenStreams
from .principal import Principal
from .visitors import Visitors


class AppState:
    """The state of an application, found by `app_state` from a request."""

    def __init__(
        self, store: Store, worker: Worker, config: ServerConfig, authenticate: Authenticate | None
    ) -> None:
        self.store = store
        self.worker = worker
        self.config = config
        self.streams = OpenStreams(config.store_patience, config.quotas.streams)
        self.authenticate = authenticate
        self.visitors: Visitors | None = None  # where nobody else identifies the principals
        self.newcomers = Newcomers(config.new_visitors)
        self.is_unready = False  # as the last readiness check found

    async def principal(self, request: Request) -> Principal:
        """The principal of a request. Raises as `identify`."""
        assert self.authenticate is not None
        principal = await identify(self.authenticate, request)
        request.state.principal = principal
        return principal

    def model(self, asked: str | None) -> str:
        """The model to use. Raises InvalidRequest when it is not offered."""
        offered = [model.id for model in self.config.models]
        if asked is None or asked in offered:
            return asked or offered[0]
        raise InvalidRequest(
            f"The model `{asked[:100]}` is not offered. Choose one of GET /api/models."
        )

    def drain(self) -> None:
        """Accept no more runs; end the streams cleanly, so that clients reconnect elsewhere."""
        self.worker.drain()
        self.streams.close()

    async def finish(self) -> None:
        """Accept no more runs, and wait for running attempts to end: see `Worker.finish`.

        Meanwhile streams still open and go on, and runs can be stopped; only messages are refused.
        """
        await self.worker.finish()

    async def hand_over(self) -> None:
        """Give the runs back, then end the streams, with all that was written here.

        In this order, so that another worker writes on while the readers reconnect.
        """
        await self.worker.close()
        self.drain()


def app_state(request: Request) -> AppState:
    """The state of the application that a request came to."""
    found = request.app.state.durable
    assert isinstance(found, AppState)
    return found
