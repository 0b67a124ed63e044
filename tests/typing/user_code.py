"""Code as users write it: type-checked, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import assert_type

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from durable_llm_streams import (
    DurableClient,
    Event,
    Finish,
    Limits,
    ModelError,
    OfferedModel,
    Principal,
    Prompt,
    ReasoningDelta,
    ServerConfig,
    Source,
    TextDelta,
    Unauthenticated,
    Worker,
    create_app,
    open_store,
)


class MyModel:
    async def stream(
        self, prompt: Prompt
    ) -> AsyncGenerator[TextDelta | ReasoningDelta | Finish, None]:
        if not prompt.turns:
            raise ModelError("Ask something.", retryable=False)
        yield ReasoningDelta("hm")
        yield TextDelta(prompt.turns[-1].text)
        yield Finish(reason="stop", metadata={})

    def can_prefill(self, model: str) -> bool:
        return model.startswith("able-")

    async def close(self) -> None: ...


async def by_header(connection: HTTPConnection) -> Principal:
    user = connection.headers.get("x-user")
    if user is None:
        raise Unauthenticated("Sign in first.")
    return Principal(user)


def my_app() -> FastAPI:
    source: Source = MyModel()
    store = open_store("sqlite:///chats.db", synchronous="FULL")
    worker = Worker(store, source, name="one", limits=Limits(attempts=3))
    config = ServerConfig(models=[OfferedModel("able-1", "Able")], on_busy="queue")
    return create_app(store, worker, config, authenticate=by_header)


async def my_reader() -> None:
    async with DurableClient("http://127.0.0.1:8000") as client:
        async for event in client.ask("chat", "Hello"):
            assert_type(event, Event)
            assert_type(event.cursor, str)
