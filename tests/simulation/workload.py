"""What the people of a history want to do, and in what weather: drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from durable_llm_streams.runs import Limits

from .faults import Rates
from .provider import MODELS
from .question import Question

#: How likely each kind of fault is at each of its places, on an ordinary bad day.
BAD_DAY: Final[Rates] = {
    "kill": 1 / 300,
    "freeze": 1 / 300,
    "clock": 1 / 1500,
    "slow": 0.04,
    "fail": 0.02,
    "unknown": 0.02,
    "twice": 0.05,
    "lose-renewal": 0.35,
    "lose-command": 0.01,
    "lose-reply": 0.01,
    "stall-command": 0.02,
    "cut-subscriber": 0.03,
    "lose-request": 0.05,
    "lose-response": 0.1,
    "repeat-request": 0.1,
    "slow-request": 0.1,
    "cut-response": 0.15,
    "slow-reader": 0.2,
    "refuse-answer": 0.1,
    "cut-answer": 0.2,
    "end-answer": 0.005,
    "stall-answer": 0.006,
    "break-answer": 0.003,
    "forget-job": 0.4,
    "fail-job": 0.15,
    "refuse-prefill": 0.3,
}


class Plan(NamedTuple):
    """One thing that one person will do.

    Attributes:
        kind: `ask`, `repeat` (the same message from another tab), `again`, `read`, `stop`.
        at: seconds after the chat's turn begins.
    """

    kind: str
    name: str
    at: float
    server: int


class Turn(NamedTuple):
    """A question in a chat, and what people do around its answer."""

    question: Question
    model: str
    plans: list[Plan]
    patient: bool  # whether the next turn waits for this one's answer

    def body(self) -> Mapping[str, Any]:
        """Of the request that asks it."""
        name = self.question.name
        parts = [{"type": "text", "text": str(self.question)}]
        return {"message": {"id": name, "role": "user", "parts": parts}, "model": self.model}


class Trouble(NamedTuple):
    """Something that strikes at a time: `term` for a server, or one of the store's troubles."""

    kind: str
    at: float
    server: int


class Workload(NamedTuple):
    """A history, before it happens."""

    servers: int
    limits: Limits
    on_busy: str
    busy: float
    rates: Rates
    chats: list[list[Turn]]
    troubles: list[Trouble]
    restart_after: float


def weather(rng: random.Random) -> Rates:
    """How likely what is: some kinds not at all, so that the others are seen clearly."""
    force = rng.choice((0.0, 0.3, 1.0, 1.0, 3.0))
    return {kind: rate * force for kind, rate in BAD_DAY.items() if rng.random() < 0.6}


def draw(faults_rng: random.Random, most_servers: int, store_troubles: tuple[str, ...]) -> Workload:
    """Draw a scenario.

    Args:
        faults_rng: draws.
        most_servers: how many processes the store allows at once.
        store_troubles: what can happen to the store by itself.
    """
    rng = faults_rng
    servers = rng.randint(1, most_servers)
    limits = Limits(
        lease=rng.choice((0.5, 1.0, 2.0, 5.0)),
        poll=0.1,
        concurrent_runs=rng.choice((1, 2, 100)),
        attempts=rng.choice((2, 3, 5, 100)),
        first_token=3.0,
        next_token=2.0,
        whole_run=4 * 3600.0,
        backoff=0.05,
        longest_backoff=1.0,
        grace=rng.choice((0.0, 0.3, 2.0)),
        farewell=2.0,
    )
    chats = [_chat(rng, f"c{number}", servers) for number in range(rng.choice((1, 1, 2, 3)))]
    troubles = [
        Trouble(kind, rng.uniform(0, 8), rng.randrange(servers))
        for kind in ("term", "term", *store_troubles)
        if rng.random() < 0.25
    ]
    return Workload(
        servers=servers,
        limits=limits,
        on_busy=rng.choice(("reject", "queue", "interrupt")),
        busy=rng.choice((0.0, 0.8, 0.95)),
        rates=weather(rng),
        chats=chats,
        troubles=troubles,
        restart_after=rng.choice((0.0, 0.1, 3.0)),
    )


def _chat(rng: random.Random, name: str, servers: int) -> list[Turn]:
    model = rng.choice(MODELS)
    return [
        _turn(rng, f"{name}m{number}", model, servers) for number in range(rng.choice((1, 1, 2)))
    ]


def _turn(rng: random.Random, name: str, model: str, servers: int) -> Turn:
    words = rng.choice((0, 1, 5, 20, 60)) if rng.random() < 0.9 else 400
    pause = rng.choice((0, 0, 5, 20, 100, 300)) if words < 100 else rng.choice((0, 5))
    question = Question(name, max(words, 1), pause, rng.choice((0, 0, 0, 3)))
    length = question.words * pause / 1000 + 0.3
    plans = [Plan("ask", f"{name}-asks", 0.0, rng.randrange(servers))]
    for kind, likely, late in (
        ("repeat", 0.35, 0.1),
        ("repeat", 0.2, 1.0),
        ("read", 0.5, 1.0),
        ("read", 0.3, 1.5),
        ("stop", 0.3, 1.0),
        ("stop", 0.1, 1.0),
        ("again", 0.25, 1.2),
        ("delete", 0.03, 1.0),
    ):
        if rng.random() < likely:
            at = rng.uniform(0, length * late)
            plans.append(Plan(kind, f"{name}-{kind}s-{len(plans)}", at, rng.randrange(servers)))
    return Turn(question, model, plans, rng.random() < 0.7)
