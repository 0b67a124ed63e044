"""The plans of a campaign, drawn from a seed: its faults, and its workload.

Real processes are not deterministic: what a fault meets is chance. What is tried is not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
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
    "store kill",  # SIGKILL to Redis, or to a master of several, and a new start
    "store end",  # SIGTERM to it, or to a replica, and a new start
    "store freeze",  # SIGSTOP to it, and SIGCONT
    "store cut",  # connections with a subscription are cut for a while, or all others
    "sentinel kill",  # SIGKILL to a Sentinel, and a new start
]

#: How often each fault of servers and their network happens; `stores` has its own.
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
    "store cut": (0.2, 1.5),
    "sentinel kill": (0.0, 0.5),
}

#: The models, and how often each is asked. Long answers come fast.
MODELS = {
    "goes-on-30-20": 4,
    "goes-on-80-40": 4,
    "goes-on-12-4": 2,  # readers wait at the end of its log
    "anew-30-25": 3,
    "anew-60-50": 3,
    "refuses-40-25": 2,
    "goes-on-2500-1500": 1,
}

ReaderKind = Literal["again", "plain", "whole", "cursor"]


class Fault(NamedTuple):
    """A fault.

    Attributes:
        wait: seconds since the fault before.
        kind: what it is.
        server: the number of the server that it strikes, if it strikes one.
        seconds: how long it lasts.
        size: of a cut: the bytes that still come; else it chooses among nodes.
        clean: whether a cut looks like a proper end; whether a frozen server is thawed just when
            another one has taken over one of its runs.
    """

    wait: float
    kind: FaultKind
    server: int
    seconds: float
    size: int
    clean: bool


class ReaderPlan(NamedTuple):
    """One reader of an answer.

    Attributes:
        kind: `again` sends the same message once more, `plain` follows the chat, `whole` reads the
            run from its beginning, `cursor` from where the sender was.
        delay: seconds after the question.
        first: the server that it begins with.
        slow: seconds between its reads.
        leaves: how often, of a hundred reads, it goes away and comes back.
    """

    kind: ReaderKind
    delay: float
    first: int
    slow: float
    leaves: int


class ChatPlan(NamedTuple):
    """One question and what is done with it.

    Attributes:
        model: that is asked.
        first: the server that is asked.
        readers: beside the sender.
        stop_at: the record at which it is stopped; None lets it end.
        stop_by: the servers that are asked to stop it, one or two.
        repeats: whether the question is sent once more after the end.
        leaves_at: the record at which the sender goes away, until the run has ended; None: never.
        edits: whether another version of the question is asked afterwards.
        renames: whether the chat is given another name.
        intrudes: whether another owner tries to read, ask, stop and delete it.
    """

    model: str
    first: int
    readers: tuple[ReaderPlan, ...]
    stop_at: int | None
    stop_by: tuple[int, ...]
    repeats: bool
    leaves_at: int | None
    edits: bool
    renames: bool
    intrudes: bool


def faults(
    seed: str, servers: int, every: float, of_store: Mapping[FaultKind, int]
) -> Iterator[Fault]:
    """Faults without end."""
    rng = random.Random(seed)
    weights = {**WEIGHTS, **of_store}
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
    """One chat of the many."""
    rng = random.Random(f"{seed} chat {number}")
    stopped = rng.random() < 0.25
    alone = not stopped and rng.random() < 0.15
    readers = 0 if alone else rng.choice([0, 1, 1, 2, 3])
    return ChatPlan(
        model=rng.choices([*MODELS], [*MODELS.values()])[0],
        first=rng.randrange(servers),
        readers=tuple(_reader(rng, servers) for _ in range(readers)),
        stop_at=rng.randint(1, 60) if stopped else None,
        stop_by=tuple(rng.randrange(servers) for _ in range(rng.choice([1, 1, 2]))),
        repeats=rng.random() < 0.2,
        leaves_at=rng.randint(1, 30) if alone else None,
        edits=rng.random() < 0.2,
        renames=rng.random() < 0.2,
        intrudes=rng.random() < 0.2,
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
