"""The store as one process sees it: its calls are late, lost, repeated and recorded.

The record has what the caller got as an answer. The log must hold each append that was accepted,
and none that was refused. Each change that was acknowledged must reach the feeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Claim, Run
from durable_llm_streams.store import Append, Ending, Sent, Store
from tests.faulty_store import Call, FaultyStore
from tests.oracle.evidence import Appended, Claimed
from tests.oracle.owner_evidence import Change

from .faults import Faults
from .loop import Process
from .trace import Trace

#: Operations that may be repeated as they are.
_REPEATABLE: Final = frozenset({"append", "end", "send", "renew", "release", "read", "check"})


class Ledger:
    """What the processes asked of the store and were answered.

    Attributes:
        committed: when a record was known to be committed, by run and number.
    """

    def __init__(self, owners: Mapping[str, str] | None = None) -> None:
        self._owners = owners or {}
        self.appended: list[Appended] = []
        self.claims: list[Claimed] = []
        self.changes: list[Change] = []
        self.committed: dict[tuple[str, int], float] = {}

    def stands(self, run_id: str, at: int, count: int, now: float) -> None:
        """Records are committed now. A record that was lost since counts again."""
        for number in range(at, at + count):
            self.committed[run_id, number] = now

    def changed(self, kind: str, chat: str, about: str, began: float, now: float) -> None:
        owner = self._owners.get(chat, "")
        self.changes.append(Change(owner, kind, chat, about, now, began))


class InjectedStore(FaultyStore):
    """A store whose calls go wrong where the faults say so."""

    def __init__(
        self, inner: Store, process: Process, faults: Faults, ledger: Ledger, trace: Trace
    ) -> None:
        super().__init__(inner)
        self._process = process
        self._injected = faults
        self._ledger = ledger
        self._trace = trace

    async def _pass(self, name: str, call: Call) -> Any:
        strikes, place = self._injected.strikes, f"{name} of {self._process.name}"
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

    async def operation(self, name: str, args: tuple[Any, ...], call: Call) -> Any:
        began, spoiled = self._now(), super().operation
        if name == "append":
            return await self._append(args[0], lambda: spoiled(name, args, call))
        result = await spoiled(name, args, call)
        match name, result:
            case "end", Run():
                self._ended(args[0], result, began)
            case "send", Sent(run, created, claim):
                if created:
                    self._changed("run-started", args[0].chat_id, run.id, began)
                self._claimed([] if claim is None else [claim])
            case "claim", _:
                self._claimed(result)
            case "claim_run", _:
                self._claimed([result])
            case "rename", _:
                self._changed("chat-renamed", args[1], args[2], began)
            case "delete", _:
                self._changed("chat-deleted", args[1], "", began)
        return result

    async def _append(self, batch: Sequence[Append], call: Call) -> Sequence[bool]:
        ledger, first, began = self._ledger, len(self._ledger.appended), self._now()
        # Noted before the call: its process may die before the answer.
        name = self._process.name
        ledger.appended += [Appended(name, item, began, None) for item in batch]
        stands: Sequence[bool] = await call()
        for number, (item, result) in enumerate(zip(batch, stands, strict=True), first):
            now = self._now()
            ledger.appended[number] = Appended(name, item, began, result, now)
            if result:
                ledger.stands(item.run_id, item.at, len(item.records), now)
            else:
                run, epoch = item.run_id[-4:], item.epoch.number
                self._note(f"is refused: run {run}, epoch {epoch}, record {item.at}")
        return stands

    def _ended(self, ending: Ending, run: Run, began: float) -> None:
        self._ledger.stands(run.id, ending.at, len(ending.records), self._now())
        self._changed("run-ended", run.chat_id, run.id, began)
        last = ending.at + len(ending.records) - 1
        self._note(f"ends run {run.id[-4:]} at record {last}: {ending.status}")

    def _changed(self, kind: str, chat: str, about: str, began: float) -> None:
        self._ledger.changed(kind, chat, about, began, self._now())

    def _claimed(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._ledger.claims.append(Claimed(self._process.name, claim, self._now()))
            run, epoch = claim.run.id[-4:], claim.epoch.number
            self._note(f"holds run {run}, epoch {epoch}, from record {claim.next_seq} on")

    def _note(self, what: str) -> None:
        self._trace.add(self._process.name, what)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
