"""The application class: streams are sent after the routing has returned."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .streams import DEFERRED, EventStream


class StreamingApp(FastAPI):
    """An application that sends the bodies of streams after the routing has returned.

    A stream lives for minutes. Inside the middlewares and the routing it would keep all of their
    frames in memory and pass every chunk through them. They still handle the response's headers;
    only the body is sent afterwards.

    Attributes:
        base_path: the path below which everything is served; "" or without a slash at its end.
        outermost: the outermost middleware, around the routing; None for none.
    """

    base_path: str = ""
    outermost: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        deferred: list[EventStream] = []
        # A copy of the scope: what the routing puts into it would live as long as the stream.
        copy = {**scope, DEFERRED: deferred}
        await (self.outermost or self.answer)(copy, receive, send)
        for stream in deferred:
            await stream.run(receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, without the outermost middleware.

        A proxy may pass requests on with the base path or without it. Where the path does not begin
        with `root_path`, Starlette takes the whole path.
        """
        if self.base_path:
            root = scope.get("root_path", "") + self.base_path
            scope = {**scope, "root_path": root}
            if scope["path"] == root:
                query = scope["query_string"].decode("latin-1")
                await RedirectResponse(f"{root}/" + (f"?{query}" if query else ""))(
                    scope, receive, send
                )
                return
        await super().__call__(scope, receive, send)
