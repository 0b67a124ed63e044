"""The fault injector: what goes wrong, where and how often, drawn from the seed or named.

Every place where something may go wrong has a name that is the same in every run of a seed: "the
fourth append of server B's second life". Whether it goes wrong there is a function of the seed and
that name alone. So leaving one fault out does not change the others, and a failing history shrinks.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

#: What each kind means, for the counts and the report.
KINDS: Final = {
    "kill": "a server is killed in the middle of anything",
    "freeze": "a server stands still for a while",
    "clock": "a server's clock is set to another time",
    "term": "a server gets SIGTERM",
    "slow": "a call of the store takes long",
    "fail": "a call of the store fails and did nothing",
    "unknown": "a call of the store succeeds, its answer is lost",
    "twice": "a call of the store is made twice",
    "lose-renewal": "a heartbeat is lost",
    "lose-command": "the connection to Redis breaks before a command arrives",
    "lose-reply": "the connection to Redis breaks before a reply arrives",
    "stall-command": "a command arrives late at Redis",
    "cut-subscriber": "the connection for messages from Redis is cut; calls go on",
    "restart-store": "Redis is restarted",
    "lose-tail": "Redis forgets its last writes",
    "store-clock": "the clock of Redis is set to another time",
    "lose-request": "a request is lost on its way",
    "lose-response": "a request arrives, its response is lost",
    "repeat-request": "a request arrives twice",
    "slow-request": "a request is long on its way",
    "cut-response": "a response is cut off at some byte",
    "slow-reader": "a reader takes little at a time",
    "refuse-answer": "the provider refuses with an HTTP status",
    "cut-answer": "the provider's answer is cut off at some byte",
    "end-answer": "the provider's answer ends without a finish",
    "stall-answer": "the provider says nothing more",
    "break-answer": "the provider sends something that is none of its events",
    "forget-job": "the provider knows nothing any more of an answer that it kept",
    "fail-job": "an answer that the provider keeps fails at the provider",
    "refuse-prefill": "the model refuses to continue an answer",
}

Rates = Mapping[str, float]

_MOST_SCHEDULED = 4


class Scheduled(NamedTuple):
    """A fault that strikes a process at one of its turns."""

    turn: int
    kind: str
    name: str
    rng: random.Random


class Faults:
    """Decides for every place whether a fault strikes there.

    Args:
        seed: the history's.
        rates: how likely each kind is at each of its places; for what strikes a process at a turn,
            per turn.
        only: the names of what shall happen, everything else does not; None draws.

    Attributes:
        happened: the names of what did happen, in order.
        counts: how often each kind did.
        over: no further faults are injected.
    """

    def __init__(self, seed: int, rates: Rates, only: Collection[str] | None = None) -> None:
        self._seed = seed
        self._rates = rates
        self._only = None if only is None else frozenset(only)
        self._places: Counter[str] = Counter()
        self.happened: list[str] = []
        self.counts: Counter[str] = Counter()
        self.over = False

    def strikes(self, kind: str, place: str) -> random.Random | None:
        """Whether a kind of fault strikes at a place, counted from 1 for each kind and place."""
        rate = self._rates.get(kind, 0.0)
        if self.over or (not rate and self._only is None):
            return None
        self._places[f"{kind} {place}"] += 1
        name = f"{kind} {place} {self._places[f'{kind} {place}']}"
        if not self._chosen(name, rate):
            return None
        return self._note(kind, name)

    def schedule(self, process: str) -> list[Scheduled]:
        """What strikes a process at which of its turns, the last one first."""
        found = []
        for kind in ("kill", "freeze", "clock"):
            rng, turn = self.rng(f"{kind} {process}"), 0
            for number in range(1, _MOST_SCHEDULED):
                rate = self._rates.get(kind, 0.0)
                if not rate:
                    break
                turn += 1 + int(rng.expovariate(rate))
                name = f"{kind} {process} {number}"
                if self._only is None or name in self._only:
                    found.append(Scheduled(turn, kind, name, self.rng(name)))
        return sorted(found, key=lambda scheduled: -scheduled.turn)

    def happens(self, scheduled: Scheduled) -> None:
        self._note(scheduled.kind, scheduled.name)

    def keeps(self, kind: str, name: str, *, late: bool = False) -> random.Random | None:
        """Whether an action or incident of the workload happens: unless it was shrunk away."""
        if (self.over and not late) or (
            self._only is not None and f"{kind} {name}" not in self._only
        ):
            return None
        return self._note(kind, f"{kind} {name}")

    def rng(self, name: str) -> random.Random:
        """Draws what belongs to a name."""
        return random.Random(f"{self._seed} {name}")

    def _chosen(self, name: str, rate: float) -> bool:
        if self._only is not None:
            return name in self._only
        digest = hashlib.blake2b(f"{self._seed} {name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < rate * 2**64

    def _note(self, kind: str, name: str) -> random.Random:
        self.happened.append(name)
        self.counts[kind] += 1
        return self.rng(name)
