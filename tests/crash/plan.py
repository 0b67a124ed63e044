"""What shall go wrong and who shall ask what, all of it drawn from a seed.

Real processes are not deterministic: what a fault meets is chance. What is tried is not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

FaultKind = Literal[
    "kill",  # SIGKILL to a server
    "kill all",  # to all of them at once
    "freeze",  # SIGSTOP, for longer than a lease, and SIGCONT
    "nap",  # the same, for less than a lease
    "end",  # SIGTERM
    "cut",  # all connections to a server are reset
    "cut after",  # ... after some bytes more, with RST or as if nothing more came
    "hang",  # nothing gets through to a server or back for a while
    "dribble",  # what it sends comes byte by byte for a while
    "store kill",  # SIGKILL to Redis, and a new start
    "store end",  # SIGTERM to it, and a new start
    "store freeze",  # SIGSTOP to it, and SIGCONT
]

#: How often each of them happens.
WEIGHTS: dict[FaultKind, int] = {
    "kill": 132,
    "kill all": 4,
    "freeze": 30,
    "nap": 4,
    "end": 12,
    "cut": 8,
    "cut after": 8,
    "hang": 4,
    "dribble": 4,
    "store kill": 4,
    "store end": 2,
    "store freeze": 2,
}

#: Seconds that each of them lasts, at the least and at the most.
LASTS: dict[FaultKind, tuple[float, float]] = {
    "freeze": (1.3, 3.5),
    "nap": (0.1, 0.8),
    "hang": (0.1, 1.5),
    "dribble": (0.2, 1.0),
    "store kill": (0.0, 0.5),
    "store end": (0.0, 0.5),
    "store freeze": (0.2, 2.0),
}

#: What the provider is asked for, and how often. Long answers come fast.
MODELS = {
    "goes-on-30-20": 4,
    "goes-on-80-40": 4,
    "anew-30-25": 3,
    "anew-60-50": 3,
    "refuses-40-25": 2,
    "goes-on-2500-1500": 1,
}

ReaderKind = Literal["again", "plain", "whole", "cursor"]


class Fault(NamedTuple):
    """Something that goes wrong.

    Attributes:
        wait: seconds since the fault before.
        kind: what it is.
        server: which one it strikes, if it strikes one.
        seconds: how long it lasts.
        size: bytes that still come, of a cut.
        clean: whether a cut looks like a proper end; whether who is frozen is woken just when
            another one has taken a run from him.
    """

    wait: float
    kind: FaultKind
    server: int
    seconds: float
    size: int
    clean: bool


class ReaderPlan(NamedTuple):
    """Somebody who reads an answer.

    Attributes:
        kind: `again` sends the same message once more, `plain` follows the chat, `whole` the run
            from its beginning, `cursor` from where the first reader was.
        delay: seconds after the chat began.
        first: the server that he begins with.
        slow: seconds between his reads.
        leaves: how often, of a hundred reads, he goes away and comes back.
    """

    kind: ReaderKind
    delay: float
    first: int
    slow: float
    leaves: int


class ChatPlan(NamedTuple):
    """One question and what is done with it.

    Attributes:
        model: who is asked.
        first: the server that is asked.
        readers: beside the one who asks.
        stop_at: the record at which it is stopped; None lets it end.
        stop_by: the servers that are told to, one or two.
        comes_back: whether the question is sent once more after the end.
    """

    model: str
    first: int
    readers: tuple[ReaderPlan, ...]
    stop_at: int | None
    stop_by: tuple[int, ...]
    comes_back: bool


def faults(seed: str, servers: int, every: float, *, of_store: bool) -> Iterator[Fault]:
    """What goes wrong, for ever.

    Args:
        seed: the same one draws the same faults.
        servers: how many there are.
        every: seconds from one fault to the next, on average.
        of_store: whether the store has a process of its own that can fail.
    """
    rng = random.Random(seed)
    weights = {kind: n for kind, n in WEIGHTS.items() if of_store or not kind.startswith("store")}
    while True:
        kind = rng.choices([*weights], [*weights.values()])[0]
        yield Fault(
            wait=min(4 * every, rng.expovariate(1 / every)),
            kind=kind,
            server=rng.randrange(servers),
            seconds=rng.uniform(*LASTS.get(kind, (0, 0))),
            size=rng.randrange(1, 20_000),
            clean=rng.random() < 0.5,
        )


def chat_plan(seed: str, number: int, servers: int) -> ChatPlan:
    """One chat of the many.

    Args:
        seed: the campaign's.
        number: the chat's.
        servers: how many serve it.
    """
    rng = random.Random(f"{seed} chat {number}")
    stopped = rng.random() < 0.25
    return ChatPlan(
        model=rng.choices([*MODELS], [*MODELS.values()])[0],
        first=rng.randrange(servers),
        readers=tuple(_reader(rng, servers) for _ in range(rng.choice([0, 1, 1, 2, 3]))),
        stop_at=rng.randint(1, 60) if stopped else None,
        stop_by=tuple(rng.randrange(servers) for _ in range(rng.choice([1, 1, 2]))),
        comes_back=rng.random() < 0.2,
    )


def _reader(rng: random.Random, servers: int) -> ReaderPlan:
    kinds: tuple[ReaderKind, ...] = ("again", "plain", "whole", "cursor")
    kind = rng.choice(kinds)
    return ReaderPlan(
        kind=kind,
        delay=0.0 if kind == "again" and rng.random() < 0.5 else rng.uniform(0, 1.5),
        first=rng.randrange(servers),
        slow=rng.uniform(0.05, 0.4) if rng.random() < 0.25 else 0.0,
        leaves=rng.choice([0, 0, 2, 10]),
    )
