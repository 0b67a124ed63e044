"""What the contract suite asks of a backend, and the words that its tests are written in."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from durable_llm_streams.errors import CursorLost
from durable_llm_streams.model import Chat, Claim, Run, Status
from durable_llm_streams.store import Append, Ending, Order, Page, Retention, Sent, Snapshot, Store
from tests.waiting import SECONDS, within

E = TypeVar("E", bound=Exception)
T = TypeVar("T")

#: The longest that any wait of a test takes.
PATIENCE = SECONDS

#: A waiter with this timeout is woken by an event, or the test fails first.
LONG = 10 * PATIENCE

LEASE = 30.0

HOUR = 3600.0
DAY = 24 * HOUR

_QUIET = 0.05

#: So many seconds pass between two looks at the clock, in `Talk.pass_time`.
_BETWEEN_LOOKS = 300.0

_FOR_EVER = 1e9


class Clock:
    """A wall clock that stands until it is moved, with a monotonic clock."""

    def __init__(self) -> None:
        self.milliseconds = 1_700_000_000_000
        self._passed = 0

    def __call__(self) -> int:
        return self.milliseconds

    def monotonic(self) -> int:
        """Milliseconds that have really passed, and some."""
        return 5_000_000 + self._passed

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.milliseconds += round(seconds * 1000)
        self._passed += round(seconds * 1000)

    def jump(self, seconds: float) -> None:
        """The wall clock is set."""
        self.milliseconds += round(seconds * 1000)


class StoreFactory(ABC):
    """A backend under test.

    Attributes:
        leases_die_with_the_process: whether `crash` leaves no lease that has not run out.
    """

    leases_die_with_the_process: bool

    def __init__(self) -> None:
        self.clock = Clock()
        #: Draws tokens: other ones each time, the same ones in each test.
        self.tokens: Callable[[], str] = map("{:08x}".format, itertools.count(1)).__next__

    @abstractmethod
    async def open(self) -> Store:
        """An empty store, with this factory's clock and tokens."""

    @abstractmethod
    async def reopen(self) -> Store:
        """The same store after it was closed."""

    @abstractmethod
    async def crash(self) -> Store:
        """The same store as the next process finds it after this one was killed."""

    @abstractmethod
    async def clean_up(self) -> None:
        """Close what is open."""

    async def settle(self) -> None:
        """Let a reader that was just started begin to wait."""
        for _ in range(5):
            await asyncio.sleep(0)


def records(count: int, size: int = 10, mark: str = "x") -> list[bytes]:
    """So many records of about so many bytes, each other than the rest."""
    return [f'{{"{mark}":{n},"_":"{"-" * size}"}}'.encode() for n in range(1, count + 1)]


#: What ends a log in these tests.
LAST = b'{"type":"finish"}'


class Talk:
    """A store, in the words of the tests: what they do not say has a sensible value."""

    def __init__(self, stores: StoreFactory, store: Store) -> None:
        self.stores = stores
        self.store = store
        self.clock = stores.clock
        self._numbers = itertools.count(1)

    async def crash(self) -> None:
        """Continue as the next process does after this one was killed."""
        self.store = await self.stores.crash()

    async def look(self) -> None:
        """What a server does once a minute, when nothing is due."""
        assert await delete_some(self.store, Retention(log=_FOR_EVER, chat=0)) == 0

    async def expire(self, *, log_age: float = HOUR, chat_age: float = DAY) -> int:
        """What a server does once a minute, until nothing is due; how much went."""
        gone = 0
        async with within("everything that is due to be deleted"):
            while True:
                more = await delete_some(self.store, Retention(log=log_age, chat=chat_age))
                if not more:
                    return gone
                gone += more

    async def pass_time(self, seconds: float) -> None:
        """Let time pass as it does where a server runs: the store looks at its clock."""
        while seconds > 0:
            step = min(seconds, _BETWEEN_LOOKS)
            self.clock.advance(step)
            await self.look()
            seconds -= step

    def order(self, message: str | None = "m1", chat: str = "c1", **fields: Any) -> Order:
        number = next(self._numbers)
        defaults: dict[str, Any] = {
            "owner": "ann",
            "place": "follow",
            "run_id": f"r{number:04d}",
            "answer_id": f"a{number}",
            "model": "demo",
            "now": self.clock(),
            "message_id": message,
            "body": b'{"text":"hello"}' if message else b"",
            "title": f"About {chat}",
        }
        return Order(chat_id=chat, **{**defaults, **fields})

    async def send(self, message: str | None = "m1", chat: str = "c1", **fields: Any) -> Sent:
        return await self.store.runs.send(self.order(message, chat, **fields))

    async def start(self, message: str | None = "m1", chat: str = "c1", **fields: Any) -> Claim:
        """Send, claimed at once."""
        sent = await self.send(message, chat, **{"worker": "w1", "lease": LEASE, **fields})
        assert sent.claim is not None
        return sent.claim

    async def take_over(self, claim: Claim) -> Claim:
        """Let the lease of a claim run out and claim its run again."""
        self.clock.advance(LEASE + 1)
        return next(new for new in await self.claims(100) if new.run.id == claim.run.id)

    async def claims(self, limit: int = 10, per_owner: int | None = None) -> Sequence[Claim]:
        """What another worker can claim."""
        return await self.store.runs.claim("w2", limit, LEASE, per_owner)

    async def find(self, run_id: str | None = None, chat: str = "c1") -> Run:
        return await self.store.runs.find("ann", chat, run_id)

    async def append(self, claim: Claim, new: Sequence[bytes], at: int | None = None) -> bool:
        at = claim.next_seq if at is None else at
        (accepted,) = await self.store.log.append([Append(claim.run.id, claim.epoch, at, new)])
        return accepted

    async def end(self, claim: Claim, **fields: Any) -> Run:
        """End a run under a claim, where its log ends."""
        run_id, epoch = claim.run.id, claim.epoch
        at = fields.pop("at", None)
        if at is None:
            at = (await self.store.log.read(run_id, 0)).next_seq
        defaults: dict[str, Any] = {
            "records": [LAST],
            "status": Status.FINISHED,
            "body": b'{"text":"hello you"}',
            "now": self.clock(),
        }
        return await self.store.log.end(
            Ending(run_id=run_id, epoch=epoch, at=at, **{**defaults, **fields})
        )

    async def stop(self, run_id: str, **fields: Any) -> Run:
        """Claim a run from its writer, and end it."""
        claim = await self.store.runs.claim_run(run_id, "stopper", LEASE)
        return await self.end(claim, **{"status": Status.STOPPED, **fields})

    async def answer(self, message: str | None = "m1", chat: str = "c1", **fields: Any) -> Run:
        """A question and its whole answer."""
        return await self.end(await self.start(message, chat, **fields))

    async def log(self, run_id: str) -> list[bytes]:
        """The whole log, page by page."""
        log: list[bytes] = []
        while True:
            page = await self.store.log.read(run_id, len(log))
            log += page.records
            if len(log) + 1 == page.next_seq:
                return log
            assert page.records, "a page before the log's end is empty"

    async def waiting(self, run_id: str, after: int, wait: float = LONG) -> asyncio.Task[Page]:
        """A reader that waits."""
        reader = asyncio.create_task(self.store.log.read(run_id, after, wait=wait))
        await self.stores.settle()
        return reader

    async def work_is_quiet(self) -> None:
        """Receive all pending notifications of work."""
        async with within("the store to have nothing to do"):
            loop = asyncio.get_running_loop()
            began = loop.time()
            await self.store.runs.wait_for_work(_QUIET)
            while loop.time() - began < _QUIET / 2:
                began = loop.time()
                await self.store.runs.wait_for_work(_QUIET)

    async def snapshot(self, leaf: str | None = None, chat: str = "c1") -> Snapshot:
        return await self.store.chats.snapshot("ann", chat, leaf)

    async def chat(self) -> Chat:
        return (await self.snapshot()).chat

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Nothing inside changes the chat or any run."""
        before = await self.snapshot(), await self.store.operators.newest()
        yield
        assert (await self.snapshot(), await self.store.operators.newest()) == before

    async def expires(self, run_id: str) -> None:
        """Exactly one thing is due to be deleted, and it is this log."""
        assert await self.expire() == 1
        await refused(CursorLost, self.store.log.read(run_id, 0))

    async def chat_ids(self, owner: str = "ann", **fields: Any) -> list[str]:
        return [chat.id for chat in (await self.store.chats.page(owner, **fields)).chats]

    async def branch(self, leaf: str | None = None, chat: str = "c1") -> list[str]:
        return [message.id for message in (await self.snapshot(leaf, chat)).messages]


async def delete_some(store: Any, retention: Retention) -> int:
    """What housekeeping does once: delete some of what has outlived a retention."""
    store.expiry.retention = retention
    deleted: int = await store.expiry.delete_some()
    return deleted


async def bounded(reader: Awaitable[T]) -> T:
    """What a waiting reader gets in the end."""
    async with within("something for the waiting reader"):
        return await reader


async def refused(error: type[E], call: Awaitable[object]) -> E:
    """The error that a call must raise."""
    try:
        result = await call
    except error as caught:
        return caught
    raise AssertionError(f"{error.__name__} was expected; there was {result!r}")
