"""A store whose calls fail as a test wants; it stands before a real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar, cast

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.store import (
    Append,
    ChatStore,
    FeedStore,
    LogStore,
    Pace,
    RunList,
    RunStore,
    Store,
    VisitorStore,
)

T = TypeVar("T")
Moment = Literal["before", "after"]
Call = Callable[[], Awaitable[Any]]


class _Service:
    """One of the five services: every operation goes through `FaultyStore.operation`."""

    def __init__(self, store: FaultyStore, inner: object) -> None:
        self._store = store
        self._inner = inner

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method, store = getattr(self._inner, name), self._store

        async def operation(*args: Any, **options: Any) -> Any:
            return await store.operation(name, args, lambda: method(*args, **options))

        setattr(self, name, operation)  # the next time it is found at once
        return operation


class FaultyStore(Store):
    """A Store that passes every call on, unless a fault was set for it.

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
        self.log = cast("LogStore", _Service(self, inner.log))
        self.runs = cast("RunStore", _Service(self, inner.runs))
        self.chats = cast("ChatStore", _Service(self, inner.chats))
        self.feed = cast("FeedStore", _Service(self, inner.feed))
        self.operators = cast("RunList", _Service(self, inner.operators))
        self.visitors = cast("VisitorStore", _Service(self, inner.visitors))
        self.calls: list[str] = []
        self.batches: list[list[Append]] = []
        self.down = False
        self.delay = 0.0
        self.jitter = jitter
        self.pace: Pace = inner.pace

    def fail(self, name: str, *faults: Moment | Exception) -> None:
        """Spoil the next calls of an operation.

        `before`: nothing is done; `after`: it is done, but the reply is lost; an exception is
        raised as it is, and nothing is done.
        """
        self._faults.setdefault(name, []).extend(faults)

    def freeze(self) -> None:
        """No call goes in and none returns until `thaw`: the process is frozen."""
        self._gate.clear()

    def thaw(self) -> None:
        """Let all calls continue."""
        self._gate.set()

    async def operation(self, name: str, args: tuple[Any, ...], call: Call) -> Any:
        """One call of a service."""
        if name == "wait_for_work":
            return await call()
        if name == "append":
            self.batches.append(list(args[0]))
        return await self._pass(name, call)

    async def _pass(self, name: str, call: Call) -> Any:
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
            raise StoreUnavailable("The store did it, but its reply was lost.")
        return result

    async def _rest(self) -> None:
        await self._gate.wait()
        delay = self.delay / 2
        if self.jitter is not None and self.jitter.random() < 0.7:
            delay += self.jitter.choice([0.0, 0.001, 0.005, 0.01])
            await asyncio.sleep(delay)
        elif delay:
            await asyncio.sleep(delay)

    async def open(self) -> None:
        await self._inner.open()

    async def meta(self, name: str, default: bytes) -> bytes:
        value: bytes = await self._pass("meta", lambda: self._inner.meta(name, default))
        return value

    async def check(self) -> None:
        await self._pass("check", self._inner.check)

    async def close(self) -> None:
        """Only a view: the owner of the real store closes it."""
