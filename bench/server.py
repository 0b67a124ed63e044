"""The servers that are compared, each in a process of its own: `python -m bench.server KIND`.

All of them are started by `dls serve`, so that the event loop, uvicorn's settings and the garbage
collector's are the same. Settings come from the environment (DLS_STORE, DLS_PORT, ...).

- `durable`: the product, with tokens from this process.
- `passing`: the same tokens, the same encoders, one response per run; nothing is stored.
- `provider`: the product as it is; tokens come over a socket (OPENAI_BASE_URL).
- `sdk`: the usual stack instead: FastAPI, StreamingResponse and the openai SDK.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, aclosing
from importlib import import_module
from typing import Any, Final
from unittest.mock import patch

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from durable_llm_streams import chunks
from durable_llm_streams.cli import serve
from durable_llm_streams.cli.provider import Provider
from durable_llm_streams.server import OfferedModel, create_app
from durable_llm_streams.server.state import AppState
from durable_llm_streams.server.streaming_app import StreamingApp
from durable_llm_streams.server.streams import EventStream
from durable_llm_streams.source import Prompt, Source, TextDelta
from durable_llm_streams.wire.aisdk import STREAM_HEADERS
from durable_llm_streams.wire.sse import FrameEncoder, opening

from .source import MODELS, BenchSource

KINDS: Final = ("durable", "passing", "provider", "sdk")

_RUN = "0" * 22
_TOKEN = "0" * 8


class PassingStream(EventStream):
    """The product's response; only that its events come from a source, not from the store."""

    def __init__(self, state: AppState, source: Source, model: str) -> None:
        super().__init__(state.streams, STREAM_HEADERS)
        self._source = source
        self._prompt = Prompt(model=model, turns=())

    async def _pump(self, send: Send) -> None:
        encoder = FrameEncoder(_RUN)
        head = chunks.delta_prefix("text", "p1")
        encode = chunks.encode
        number = 0
        await send({"type": "http.response.body", "body": opening(), "more_body": True})
        async with aclosing(self._source.stream(self._prompt)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    number += 1
                    chunk = head + encode(event.text) + b"}"
                    body = encoder.frames(_TOKEN, number, [chunk])
                    await send({"type": "http.response.body", "body": body, "more_body": True})


def passing_app(state: AppState, source: Source) -> FastAPI:
    """The server that stores nothing."""
    app = StreamingApp()

    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        model = msgspec.json.decode(await request.body())["model"]
        return PassingStream(state, source, model)

    return app


def sdk_app() -> FastAPI:
    """The usual stack, as its tutorials have it."""
    json: Any = import_module("json")
    client = import_module("openai").AsyncOpenAI(
        base_url=os.environ["OPENAI_BASE_URL"], api_key="none"
    )
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()

        async def events() -> Any:
            stream = await client.chat.completions.create(
                model=body["model"],
                messages=[{"role": "user", "content": "Hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    data = {"type": "text-delta", "id": "p1", "delta": text}
                    yield f"data: {json.dumps(data)}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


def main(kind: str) -> None:
    """Serve until the process is killed."""
    source = BenchSource(float(os.environ.get("BENCH_RATE", "50")))
    models = tuple(OfferedModel(name, name) for name in MODELS)
    product = create_app

    def other_app(*args: Any, **more: Any) -> FastAPI:
        state = product(*args, **more).state.durable
        app = passing_app(state, source) if kind == "passing" else sdk_app()
        app.state.durable = state  # which the server asks to drain at its end
        return app

    with ExitStack() as patches:
        if kind in ("durable", "passing"):
            made = Provider("the benchmark", source, models)
            patches.enter_context(patch.object(serve, "provider", lambda _: made))
        if kind in ("passing", "sdk"):
            patches.enter_context(patch.object(serve, "create_app", other_app))
        serve.serve()


if __name__ == "__main__":
    main(sys.argv[1])
