"""The store as one process sees it: its calls are late, lost, repeated, and written down.

What is written down is what the caller was told, for the oracles: an append that was refused must
not stand in the log, one that was accepted must.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Claim, Run
from durable_llm_streams.store import Append, Ending, Order, Sent, Store
from tests.faulty_store import FaultyStore

from .faults import Faults
from .loop import Process
from .trace import Trace

T = TypeVar("T")

#: Operations that may be repeated as they are.
_REPEATABLE: Final = frozenset({"append", "end", "send", "renew", "release", "read", "check"})


@dataclass
class Written:
    """What became of an append, as its caller knows it.

    Attributes:
        began: when, in the loop's time.
        stands: what the store said; None when it did not say anything, or nobody lived to hear it.
    """

    process: str
    item: Append
    began: float
    stands: bool | None = None


class Claimed(NamedTuple):
    """A claim that a process was told of, and when."""

    process: str
    claim: Claim
    at: float


class Ledger:
    """What the processes asked of the store and were told."""

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.claims: list[Claimed] = []


class InjectedStore(FaultyStore):
    """A store whose calls go wrong where the seed says so.

    Args:
        inner: the store.
        process: whose.
        faults: what goes wrong.
        ledger: where it is written down.
        trace: is told of claims and ends.
    """

    def __init__(
        self, inner: Store, process: Process, faults: Faults, ledger: Ledger, trace: Trace
    ) -> None:
        super().__init__(inner)
        self._process = process
        self._troubles = faults
        self._ledger = ledger
        self._trace = trace

    async def _pass(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        strikes, place = self._troubles.strikes, f"{name} of {self._process.name}"
        if slow := strikes("slow", place):
            await asyncio.sleep(slow.choice((0.001, 0.01, 0.1, 1.0)) * slow.random())
        if strikes("fail", place) or (name == "renew" and strikes("lose-renewal", place)):
            raise StoreUnavailable("The store did not do it.")
        result = await call()
        if name in _REPEATABLE and strikes("twice", place):
            result = await call()
        if strikes("unknown", place):
            raise StoreUnavailable("The store did it, but its answer was lost.")
        if slow := strikes("slow", f"{place}, behind it"):
            await asyncio.sleep(slow.choice((0.001, 0.01, 0.1, 1.0)) * slow.random())
        return result

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        calls = [Written(self._process.name, item, self._now()) for item in batch]
        self._ledger.written += calls
        stands = await super().append(batch)
        for call, result in zip(calls, stands, strict=True):
            call.stands = result
            if not result:
                run, epoch = call.item.run_id[-4:], call.item.epoch.number
                self._tell(f"is refused: run {run}, epoch {epoch}, record {call.item.at}")
        return stands

    async def end(self, ending: Ending) -> Run:
        run = await super().end(ending)
        self._tell(f"ends run {run.id[-4:]} at record {run_end(ending)}: {ending.status}")
        return run

    async def send(self, order: Order) -> Sent:
        sent = await super().send(order)
        if sent.claim is not None:
            self._claimed(sent.claim)
        return sent

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        claims = await super().claim(worker, limit, lease)
        for claim in claims:
            self._claimed(claim)
        return claims

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        claim = await super().seize(run_id, worker, lease)
        self._claimed(claim)
        return claim

    def _claimed(self, claim: Claim) -> None:
        self._ledger.claims.append(Claimed(self._process.name, claim, self._now()))
        self._tell(
            f"holds run {claim.run.id[-4:]}, epoch {claim.epoch.number}, from record "
            f"{claim.next_seq} on"
        )

    def _tell(self, what: str) -> None:
        self._trace.add(self._process.name, what)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def run_end(ending: Ending) -> int:
    """The number of a run's last record."""
    return ending.at + len(ending.records) - 1
