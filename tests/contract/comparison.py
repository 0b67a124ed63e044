"""A store and the model of one, side by side.

The model gets the tokens that the store drew. Everything else it works out for itself: results,
errors, and after each step everything that can be seen from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from msgspec import structs

from durable_llm_streams.errors import DurableError
from durable_llm_streams.model import Claim
from durable_llm_streams.store import Append, Ending, Order, Store
from tests.model_store import ModelStore
from tests.waiting import within

from .harness import StoreFactory

T = TypeVar("T")

_CHAT_ID = attrgetter("chat_id")


def fold(log: Sequence[bytes]) -> bytes:
    """Stands for the fold: other logs, other bodies."""
    return b'{"records":%d,"bytes":%d}' % (len(log), sum(map(len, log)))


class Comparison(RuleBasedStateMachine):
    """Both sides, what was done so far, and what always holds."""

    factory: ClassVar[Callable[[], StoreFactory]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = type(self).factory()
        self.clock = self.stores.clock
        self.drawn: list[str] = []
        self.model = ModelStore(self.clock, lambda: self.drawn.pop(0))
        self.count = 0
        self.claims: list[Claim] = []
        self.orders: list[Order] = []
        self.batches: list[list[Append]] = []
        self.endings: list[Ending] = []
        self.tokens: set[str] = set()
        self.positions: dict[str, str | None] = dict.fromkeys(("ann", "bob"))
        self.reopened = True
        self.told = 0  # so many changes of the model were compared
        self.store: Store

    @initialize()
    def open(self) -> None:
        self.store = self.wait(self.stores.open())

    def teardown(self) -> None:
        self.wait(self.stores.clean_up())
        self.runner.close()

    def wait(self, call: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with within(f"{call}"):
                return await call

        return self.runner.run(bounded())

    def real(self, call: Awaitable[T]) -> T | type[DurableError]:
        try:
            return self.wait(call)
        except DurableError as error:
            return type(error)

    def modelled(self, call: Callable[[], T], tokens: Sequence[str] = ()) -> T | type[DurableError]:
        assert self.tokens.isdisjoint(tokens), "a token was drawn twice"
        self.tokens.update(tokens)
        self.drawn = list(tokens)
        try:
            return call()
        except DurableError as error:
            return type(error)

    def same(self, call: Awaitable[T], model: Callable[[], T]) -> T | type[DurableError]:
        found, expected = self.real(call), self.modelled(model)
        assert found == expected
        return found

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def everything_that_can_be_seen_is_as_the_model_says(self) -> None:
        self.wait(self._compare())

    async def _compare(self) -> None:
        runs = self.model.runs()
        assert await self.store.operators.newest(limit=1000) == runs
        active = [run for run in runs if not run.status.ended]
        assert await self.store.operators.newest(active=True, limit=1000) == active
        await self._check_feeds()
        signed_out = await self.store.visitors.signed_out(["ann", "bob"])
        assert list(signed_out) == self.model.visitors.signed_out(["ann", "bob"])
        for owner in ("ann", "bob"):
            for chat in self.model.chats(owner):
                answers = [
                    run.message_id for run in runs if (run.owner, run.chat_id) == (owner, chat.id)
                ]
                for leaf in (None, *answers):
                    found = await self.store.chats.snapshot(owner, chat.id, leaf)
                    assert found == self.model.snapshot(owner, chat.id, leaf)
            listed = (await self.store.chats.page(owner, limit=100)).chats
            assert {chat.id: chat for chat in listed} == {
                chat.id: chat for chat in self.model.chats(owner)
            }
        for run in runs:
            await self._check_log(run.id)
            assert list(await self.store.chats.thread(run.id)) == self.model.thread(run.id)

    async def _check_feeds(self) -> None:
        """Every change is published once, to its owner; a store that dropped some reports it."""
        for owner, after in self.positions.items():
            found = await self.store.feed.changes(owner, after)
            self.positions[owner] = found.position
            assert found.complete or not found.changes
            assert found.complete or after is None or self.reopened
            if found.complete:
                expected = self.model.changes(owner, self.told)
                told = [structs.replace(change, position="") for change in found.changes]
                # Chats that expire together go in any order.
                assert sorted(told, key=_CHAT_ID) == sorted(expected, key=_CHAT_ID)
                positions = [change.position for change in found.changes]
                assert len(set(positions)) == len(positions)
        self.told = len(self.model.feed)
        self.reopened = False

    async def _check_log(self, run_id: str) -> None:
        expected = self.modelled(lambda: self.model.read(run_id, 0))
        if isinstance(expected, type):
            return
        rest = structs.replace(expected, records=())
        log: list[bytes] = []
        while True:
            page = await self.store.log.read(run_id, len(log), max_bytes=20_000)
            log += page.records
            assert structs.replace(page, first=1, records=()) == rest
            if len(log) >= len(expected.records) or not page.records:
                break
        assert log == expected.records
