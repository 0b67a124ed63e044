"""The application in this process, what is Ann's in it, and whether a request got or changed it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from durable_llm_streams.model import Cursor
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.server import create_app
from durable_llm_streams.server.streaming_app import StreamingApp
from durable_llm_streams.server.visitors import Visitors
from durable_llm_streams.source import Prompt
from durable_llm_streams.store import Store
from tests.app import CONFIG
from tests.fuzz.asgi import Answer, exchange, request_scope
from tests.scripted_source import Do, Done, Say, ScriptedSource
from tests.waiting import until

from .identities import SECRET, Headers, by_cookie_or_hook
from .requests import Asked, Victim

#: A word that stands in everything of the owner's: the title, the questions, the answers.
MARK = "S3CRET"
CHAT = "plug"
_HOLD = "wait"
_ENDLESS = ("/api/events",)


class Site:
    """The application, and the owner's chat in it: one answer is whole, one is being written.

    Args:
        app: the application.
        store: where its chats are.
        visitors: the cookies of the owner and of another visitor.
    """

    def __init__(self, app: StreamingApp, store: Store, visitors: tuple[str, str]) -> None:
        self.app = app
        self.cookie, self.another = visitors
        self._store = store
        self._position = ""
        self._state: Any = None
        self.victim: Victim

    async def send(self, asked: Asked, identity: Headers) -> Answer:
        """The answer to a request; of what is endless, its beginning."""
        headers = {"host": "127.0.0.1:8000", "content-type": "application/json"}
        lines = [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in {**headers, **asked.headers, **identity}.items()
        ]
        scope = request_scope(asked.method, asked.address, lines)
        leave = scope["path"] in _ENDLESS or scope["path"] == f"/api/chat/{CHAT}/stream"
        return await exchange(self.app, scope, asked.body, leave=leave)

    def leaks(self, answer: Answer) -> bool:
        """Whether an answer holds anything of the owner's."""
        told = answer.headers.get("x-run-id") in (self.victim.active, self.victim.ended)
        return told or MARK.encode() in answer.body or MARK in str(answer.headers)

    async def remember(self) -> None:
        """Remember what is the owner's now, for `is_unchanged`."""
        self._position = (await self._store.feed.changes(self.victim.owner, None)).position
        self._state = await self._look()

    async def is_unchanged(self) -> bool:
        """Whether nothing of the owner's was changed, and the feed tells of nothing."""
        news = await self._store.feed.changes(self.victim.owner, self._position)
        return not news.changes and await self._look() == self._state

    async def _look(self) -> Any:
        owner, store = self.victim.owner, self._store
        return (
            await store.chats.page(owner),
            await store.chats.snapshot(owner, CHAT),
            await store.operators.any_run(self.victim.active),
            await store.operators.any_run(self.victim.ended),
        )

    async def fill(self) -> None:
        """Give the owner a chat, and learn everything that names something in it."""
        await self._ask(self.cookie, "q1", f"{MARK} one")
        page = json.loads((await self._get("/api/chats?limit=1")).body)
        (chat,) = page["chats"]
        assert chat["title"].startswith(MARK)
        first = json.loads((await self._get(f"/api/chats/{CHAT}")).body)
        asking = asyncio.create_task(self._ask(self.cookie, "q2", f"{MARK} {_HOLD}"))
        second: Any = {}

        async def is_written() -> bool:
            nonlocal second
            second = json.loads((await self._get(f"/api/chats/{CHAT}")).body)
            return MARK in str(second["messages"][-1]["parts"]) and bool(second["active_run"])

        await until(is_written, what="the second answer to be written")
        asking.cancel()
        owner = (await self._store.operators.any_run(second["active_run"]["id"])).owner
        ended = next(
            message.run_id
            for message in (await self._store.chats.snapshot(owner, CHAT)).messages
            if message.id == first["messages"][-1]["id"]
        )
        assert ended is not None
        updated = (await self._store.chats.snapshot(owner, CHAT)).chat.updated_at
        self.victim = Victim(
            owner=owner, chat=CHAT, question="q1", answer=first["messages"][-1]["id"],
            active=second["active_run"]["id"], ended=ended,
            active_cursor=Cursor(second["active_run"]["id"], 1, "").__str__(),
            ended_cursor=str(Cursor.beginning(ended)),
            position=(await self._store.feed.changes(owner, None)).position,
            page=f"{updated + 1}-99",
        )  # fmt: skip

    async def give_another_a_chat(self) -> None:
        """The other visitor has a chat of the same id, whatever became of the last one."""
        await self._ask(self.another, "q9", "Mine")

    async def _ask(self, cookie: str, message: str, text: str) -> Answer:
        parts = [{"type": "text", "text": text}]
        document = {"id": CHAT, "message": {"id": message, "role": "user", "parts": parts}}
        key: Mapping[str, str] = {"idempotency-key": "k1"} if message == "q1" else {}
        asked = Asked("POST", "/api/chat", key, json.dumps(document).encode())
        return await self.send(asked, {"cookie": cookie})

    async def _get(self, address: str) -> Answer:
        return await self.send(Asked("GET", address, {}, b""), {"cookie": self.cookie})


def _scene(prompt: Prompt) -> list[Any]:
    text = prompt.turns[-1].text
    if MARK in text and _HOLD in text:
        return [Say(f"{MARK} so far"), Do(asyncio.Event().wait), Done()]
    return [Say(f"{MARK} answer" if MARK in text else "Well."), Done()]


@asynccontextmanager
async def serving(store: Store, folder: Path) -> AsyncGenerator[Site, None]:
    """The application over a store, which it opens; the caller closes the store."""
    (folder / "index.html").write_text("<!doctype html><title>A page</title>")
    (folder / "assets").mkdir()
    (folder / "assets" / "page.js").write_text("1")
    (folder / "icon.svg").write_text("<svg/>")
    worker = Worker(
        store, ScriptedSource(by_prompt=_scene), name="matrix", limits=Limits(next_token=3600.0)
    )
    visitors = Visitors(SECRET)
    app = create_app(store, worker, CONFIG, authenticate=by_cookie_or_hook(visitors), ui=folder)
    async with app.router.lifespan_context(app):
        site = Site(app, store, ("", ""))
        cookies = []
        for _ in range(2):
            answer = await site.send(Asked("GET", "/api/visitor", {}, b""), {})
            (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
            cookies.append(f"{morsel.key}={morsel.value}")
        site.cookie, site.another = cookies
        await site.fill()
        yield site
