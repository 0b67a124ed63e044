"""A store through which everything goes wrong that can: it stands before a real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Chat, Claim, Message, Run
from durable_llm_streams.store import (
    PAGE_BYTES,
    Append,
    Changes,
    ChatPage,
    Ending,
    Order,
    Pace,
    Page,
    Sent,
    Snapshot,
    Store,
)

T = TypeVar("T")
Moment = Literal["before", "after"]


class FaultyStore:
    """A Store that passes every call on, unless it was told to spoil it.

    Attributes:
        calls: the name of every call that came in, in order.
        batches: what `append` was given, in order.
        down: while true, every call fails and nothing is done.
        pace: the inner store's; another one may be set before it is used.
        delay: seconds that every call takes, half of them before and half after it is done.
        jitter: draws another delay (up to 20 ms) before and after every call.
    """

    def __init__(self, inner: Store, *, jitter: random.Random | None = None) -> None:
        self._inner = inner
        self._faults: dict[str, list[Moment | Exception]] = {}
        self._gate = asyncio.Event()
        self._gate.set()
        self.calls: list[str] = []
        self.batches: list[list[Append]] = []
        self.down = False
        self.delay = 0.0
        self.jitter = jitter
        self.pace: Pace = inner.pace

    def fail(self, name: str, *faults: Moment | Exception) -> None:
        """Spoil the next calls of a method.

        `before`: nothing is done; `after`: it is done, but the caller is not told; an exception is
        raised as it is, and nothing is done.
        """
        self._faults.setdefault(name, []).extend(faults)

    def freeze(self) -> None:
        """No call goes in and none returns until `thaw`: the process stands still."""
        self._gate.clear()

    def thaw(self) -> None:
        """Let everything go on."""
        self._gate.set()

    async def _pass(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls.append(name)
        await self._rest()
        if self.down:
            raise StoreUnavailable("The store is down.")
        faults = self._faults.get(name)
        fault = faults.pop(0) if faults else None
        if isinstance(fault, Exception):
            raise fault
        if fault == "before":
            raise StoreUnavailable("The store did not do it.")
        result = await call()
        await self._rest()
        if fault == "after":
            raise StoreUnavailable("The store did it, but its answer was lost.")
        return result

    async def _rest(self) -> None:
        await self._gate.wait()
        delay = self.delay / 2
        if self.jitter is not None and self.jitter.random() < 0.7:
            delay += self.jitter.choice([0.0, 0.001, 0.005, 0.01])
            await asyncio.sleep(delay)
        elif delay:
            await asyncio.sleep(delay)

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        self.batches.append(list(batch))
        return await self._pass("append", lambda: self._inner.append(batch))

    async def end(self, ending: Ending) -> Run:
        return await self._pass("end", lambda: self._inner.end(ending))

    async def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Page:
        return await self._pass(
            "read", lambda: self._inner.read(run_id, after, max_bytes=max_bytes, wait=wait)
        )

    async def send(self, order: Order) -> Sent:
        return await self._pass("send", lambda: self._inner.send(order))

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        return await self._pass("claim", lambda: self._inner.claim(worker, limit, lease))

    async def work(self, wait: float) -> None:
        await self._inner.work(wait)

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        return await self._pass("seize", lambda: self._inner.seize(run_id, worker, lease))

    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        return await self._pass("renew", lambda: self._inner.renew(claims, lease))

    async def release(self, claims: Sequence[Claim]) -> None:
        return await self._pass("release", lambda: self._inner.release(claims))

    async def find_run(self, owner: str | None, chat_id: str, run_id: str | None = None) -> Run:
        return await self._pass("find_run", lambda: self._inner.find_run(owner, chat_id, run_id))

    async def runs(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        return await self._pass("runs", lambda: self._inner.runs(active=active, limit=limit))

    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        return await self._pass("snapshot", lambda: self._inner.snapshot(owner, chat_id, leaf))

    async def thread(self, run_id: str) -> Sequence[Message]:
        return await self._pass("thread", lambda: self._inner.thread(run_id))

    async def chats(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
        return await self._pass(
            "chats", lambda: self._inner.chats(owner, query=query, limit=limit, more=more)
        )

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        return await self._pass("rename", lambda: self._inner.rename(owner, chat_id, title))

    async def delete(self, owner: str, chat_id: str) -> None:
        return await self._pass("delete", lambda: self._inner.delete(owner, chat_id))

    async def changes(self, owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        return await self._pass("changes", lambda: self._inner.changes(owner, after, wait=wait))

    async def open(self) -> None:
        await self._inner.open()

    async def secret(self) -> bytes:
        return await self._pass("secret", self._inner.secret)

    async def check(self) -> None:
        return await self._pass("check", self._inner.check)

    async def expire(self, *, now: int, log_age: float, chat_age: float) -> int:
        return await self._pass(
            "expire",
            lambda: self._inner.expire(now=now, log_age=log_age, chat_age=chat_age),
        )

    async def close(self) -> None:
        """Only a view: whoever opened the real store closes it."""
