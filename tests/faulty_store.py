"""A store through which everything goes wrong that can: it stands before a real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.store import Append, Pace, Store

P = ParamSpec("P")
T = TypeVar("T")
Moment = Literal["before", "after"]


def _passed(
    method: Callable[Concatenate[Store, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[FaultyStore, P], Coroutine[Any, Any, T]]:
    """The same method of the inner store, or what it was told to do instead."""
    name = method.__name__

    async def call(self: FaultyStore, /, *args: P.args, **options: P.kwargs) -> T:
        return await self._pass(name, lambda: getattr(self._inner, name)(*args, **options))

    return call


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

    async def work(self, wait: float) -> None:
        await self._inner.work(wait)

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        """Only a view: whoever opened the real store closes it."""

    end, read = _passed(Store.end), _passed(Store.read)
    send, claim, seize = _passed(Store.send), _passed(Store.claim), _passed(Store.seize)
    renew, release = _passed(Store.renew), _passed(Store.release)
    find_run, runs = _passed(Store.find_run), _passed(Store.runs)
    snapshot, thread, chats = _passed(Store.snapshot), _passed(Store.thread), _passed(Store.chats)
    rename, delete, changes = _passed(Store.rename), _passed(Store.delete), _passed(Store.changes)
    secret, check, expire = _passed(Store.secret), _passed(Store.check), _passed(Store.expire)
