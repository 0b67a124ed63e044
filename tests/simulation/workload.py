"""What the clients of a history do, and how likely each fault is: drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from durable_llm_streams.runs import Limits
from tests.oracle.owner_evidence import Sent

from .faults import Rates
from .provider import MODELS
from .question import Question

#: How likely each kind of fault is at each of its places, before it is scaled for a history.
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

#: The same for kinds that came later; they are drawn apart, so that older seeds keep their meaning.
LATER: Final[Rates] = {"cut-subscriber": 0.03}

#: The share of histories in which logs and chats expire.
_AGEING: Final = 0.12

#: The owners of chats.
OWNERS: Final = ("ann", "bob")


class Action(NamedTuple):
    """One thing that one client does.

    Attributes:
        kind: `ask`, `repeat` (the same message from another client), `again` (another answer),
            `edit`, `read`, `wait` (read from the end of the log), `stop`, `rename`, `delete`,
            `trespass` (the other owner tries everything), `subscribe` (to an owner's feed).
        name: of the client.
        at: seconds after the turn begins; of `subscribe`, after the history begins.
        server: the one that is asked first.
        key: of an `again` that is idempotent; else "".
    """

    kind: str
    name: str
    at: float
    server: int
    key: str = ""


class Turn(NamedTuple):
    """A question in a chat, and what is done around its answer.

    Attributes:
        patient: whether the next turn waits until everything of this one is over.
    """

    question: Question
    model: str
    actions: list[Action]
    patient: bool

    @property
    def edited(self) -> Question:
        """The question that an edit asks."""
        name, words, *more = self.question
        return Question(f"{name}e", min(words, 20), *more)


class Chat(NamedTuple):
    """A chat."""

    name: str
    owner: str
    turns: list[Turn]

    def body(self, turn: Turn) -> Mapping[str, Any]:
        """Of the request that asks a turn's question."""
        return {"message": _message(self.sent(turn)), "model": turn.model}

    def edit(self, turn: Turn) -> Mapping[str, Any]:
        """Of the request that edits it."""
        original = self.sent(turn).id
        return {
            "message": _message(self.sent(turn, edited=True)),
            "messageId": original,
            "trigger": "submit-message",
            "model": turn.model,
        }

    def sent(self, turn: Turn, *, edited: bool = False) -> Sent:
        """The message of a turn. Its id is the same in every chat: `m0`, `m1`, ..."""
        question = turn.edited if edited else turn.question
        original = turn.question.name.removeprefix(self.name)
        return Sent(
            self.name,
            question.name.removeprefix(self.name),
            str(question),
            original if edited else None,
        )


def _message(sent: Sent) -> Mapping[str, Any]:
    return {"id": sent.id, "role": "user", "parts": [{"type": "text", "text": sent.text}]}


class Incident(NamedTuple):
    """A fault that strikes at a time: `term` for a server, or one of the store's own."""

    kind: str
    at: float
    server: int


class Ageing(NamedTuple):
    """What comes after the faults, in some histories: logs and chats expire.

    Attributes:
        log, chat: their ages in seconds; chats 0: for ever.
        incidents: (kind, the share of the longest age at which it happens): `restart` of a server,
            `set-clock`.
    """

    log: float
    chat: float
    incidents: list[tuple[str, float]]


class Workload(NamedTuple):
    """All that is drawn before a history begins.

    Attributes:
        subscribers: of the owners' feeds.
        restart_after: seconds until a process that has ended is started again.
        ageing: None in most histories.
    """

    servers: int
    limits: Limits
    on_busy: str
    busy: float
    rates: Rates
    chats: list[Chat]
    incidents: list[Incident]
    subscribers: list[tuple[str, Action]]
    restart_after: float
    ageing: Ageing | None


def draw(
    rng: random.Random,
    more: random.Random,
    later: random.Random,
    servers: int,
    own: Sequence[str],
) -> Workload:
    """Draw a workload.

    Args:
        rng: draws what there was from the first seed file on, in its order.
        more: draws what came later, so that older seeds keep their meaning.
        later: draws what came after that.
        servers: how many processes the store allows at once.
        own: what can happen to the store by itself.
    """
    servers = rng.randint(1, servers)
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
        shutdown_timeout=2.0,
    )
    chats = [
        Chat(f"c{number}", more.choice(OWNERS), _turns(rng, more, f"c{number}", servers))
        for number in range(rng.choice((1, 1, 2, 3)))
    ]
    incidents = [
        Incident(kind, rng.uniform(0, 8), rng.randrange(servers))
        for kind in ("term", "term", *own)
        if rng.random() < 0.25
    ]
    on_busy, busy = rng.choice(("reject", "queue", "interrupt")), rng.choice((0.0, 0.8, 0.95))
    rates = _rates(rng, more)
    ageing = _ageing(later) if later.random() < _AGEING else None
    if ageing is not None:
        rates = {kind: rate for kind, rate in rates.items() if kind != "clock"}
    return Workload(
        servers=servers,
        limits=limits,
        on_busy=on_busy,
        busy=busy,
        rates=rates,
        chats=chats,
        incidents=incidents,
        subscribers=_subscribers(more, servers),
        restart_after=rng.choice((0.0, 0.1, 3.0)),
        ageing=ageing,
    )


def _ageing(rng: random.Random) -> Ageing:
    log = rng.choice((600.0, 1200.0))
    kinds = rng.choices(("restart", "set-clock"), k=rng.choice((0, 1, 2)))
    incidents = sorted((kind, rng.random()) for kind in kinds)
    return Ageing(log, rng.choice((0.0, 1.5, 3.0)) * log, incidents)


def _rates(rng: random.Random, more: random.Random) -> Rates:
    """How likely each fault is: some kinds not at all, so that the others are seen clearly."""
    force = rng.choice((0.0, 0.3, 1.0, 1.0, 3.0))
    rates = {kind: rate * force for kind, rate in BAD_DAY.items() if rng.random() < 0.6}
    later = {kind: rate * force for kind, rate in LATER.items() if more.random() < 0.6}
    return rates | later


def _turns(rng: random.Random, more: random.Random, chat: str, servers: int) -> list[Turn]:
    model = rng.choice(MODELS)
    return [
        _turn(rng, more, f"{chat}m{number}", model, servers)
        for number in range(rng.choice((1, 1, 2)))
    ]


def _turn(rng: random.Random, more: random.Random, name: str, model: str, servers: int) -> Turn:
    words = rng.choice((0, 1, 5, 20, 60)) if rng.random() < 0.9 else 400
    pause = rng.choice((0, 0, 5, 20, 100, 300)) if words < 100 else rng.choice((0, 5))
    question = Question(name, max(words, 1), pause, rng.choice((0, 0, 0, 3)))
    length = question.words * pause / 1000 + 0.3
    actions = [Action("ask", f"{name}-asks", 0.0, rng.randrange(servers))]
    for draws, kind, likely, late in (
        (rng, "repeat", 0.35, 0.1),
        (rng, "repeat", 0.2, 1.0),
        (rng, "read", 0.5, 1.0),
        (rng, "read", 0.3, 1.5),
        (rng, "stop", 0.3, 1.0),
        (rng, "stop", 0.1, 1.0),
        (rng, "again", 0.25, 1.2),
        (rng, "delete", 0.03, 1.0),
        (more, "edit", 0.15, 1.2),
        (more, "wait", 0.3, 1.0),
        (more, "wait", 0.1, 1.0),
        (more, "rename", 0.15, 1.2),
        (more, "trespass", 0.15, 1.2),
    ):
        if draws.random() < likely:
            at, server = draws.uniform(0, length * late), draws.randrange(servers)
            key = f"again-{name[2:]}" if kind == "again" and more.random() < 0.5 else ""
            actions.append(Action(kind, f"{name}-{kind}s-{len(actions)}", at, server, key))
    return Turn(question, model, actions, rng.random() < 0.7)


def _subscribers(rng: random.Random, servers: int) -> list[tuple[str, Action]]:
    return [
        (owner, Action("subscribe", f"{owner}-{number}", rng.uniform(0, 1), rng.randrange(servers)))
        for owner in OWNERS
        for number in range(rng.choice((0, 1, 1, 2)))
    ]
