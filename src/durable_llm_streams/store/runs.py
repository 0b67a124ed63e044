"""Runs: accepting a message, and who may write the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from durable_llm_streams.model import Charge, Claim, Level, Run


class Bounds(Struct, frozen=True, kw_only=True):
    """How many runs there may be; None is no bound. On a Redis Cluster each partition counts.

    Attributes:
        running: of one owner, running at once; more wait. A run whose lease ran out counts.
        active: of one owner, running and waiting.
        waiting: of all owners, waiting.
    """

    running: int | None = None
    active: int | None = None
    waiting: int | None = None


class Order(Struct, frozen=True, kw_only=True):
    """What `RunStore.send` is to create.

    Attributes:
        owner: whose chat it is; never empty.
        chat_id: the chat, among those of the owner.
        place: `follow` puts the message behind `anchor` (or behind the chat's head, when anchor is
            None or unknown); `edit` puts it beside the user message `anchor`; `again` adds no
            message and answers once more the user message that `anchor` is, or answers (None: the
            chat's head).
        message_id, body: the new user message (`again`: None and empty).
        run_id, answer_id: ids for the run and the assistant message.
        key: the idempotency key; None for none.
        content: a fingerprint of the request. The same key with other content is a conflict.
        title: for a chat that does not exist yet.
        shown: whether the chat's head moves to the answer's branch, also for a duplicate.
        queue: whether a run may wait behind another run of the chat.
        worker, lease: who claims the new run at once, and for how many seconds; None leaves it
            queued.
        now: the wall clock, in milliseconds.
        bounds: what holds when it is accepted.
        charges: what the message costs.
        reservation: what an attempt to answer it may cost. It is taken with the message, again by
            `RunStore.reserve`, and settled by `Ending.charges`.

    Raises:
        ValueError: the owner is empty.
    """

    owner: str
    chat_id: str
    place: Literal["follow", "edit", "again"]
    run_id: str
    answer_id: str
    model: str
    now: int
    anchor: str | None = None
    message_id: str | None = None
    body: bytes = b""
    key: str | None = None
    content: str = ""
    title: str = ""
    shown: bool = False
    queue: bool = False
    worker: str | None = None
    lease: float = 0.0
    bounds: Bounds = Bounds()
    charges: tuple[Charge, ...] = ()
    reservation: tuple[Charge, ...] = ()

    def __post_init__(self) -> None:
        if not self.owner:
            raise ValueError("A message needs an owner.")


class Sent(NamedTuple):
    """What `RunStore.send` created or found.

    Attributes:
        created: False for a duplicate: `run` is the one that the first order created.
        claim: the worker's claim, when the order asked for one and the run could start.
        levels: what is left in the buckets of the order's charges, then of its reservation; empty
            for a duplicate.
    """

    run: Run
    created: bool
    claim: Claim | None
    levels: tuple[Level, ...] = ()


class RunList(Protocol):
    """Runs of all owners: for operators' commands, never for a request."""

    async def newest(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        """Runs of all chats, newest first.

        Args:
            active: only those that are queued or running.
            limit: how many at most.
        """
        ...

    async def any_run(self, run_id: str) -> Run:
        """A run of any owner.

        Raises:
            RunNotFound: no such run.
        """
        ...


class RunStore(Protocol):
    """Accepts messages, claims runs."""

    async def send(self, order: Order) -> Sent:
        """Accept a message: the chat if it is new, the message, the run, its claim.

        Atomic. Idempotent by `key` and by `run_id`: a duplicate returns the first run; only `shown`
        may still move the head. Asking `again` for an answer that is being written is a duplicate,
        too. All charges are taken in the same step, or none. A duplicate is free, and `bounds` do
        not refuse it.

        The new run is claimed at once only if `claim` could claim it and no run of another owner
        would come before it. Otherwise it waits.

        Raises:
            ChatNotFound: `again` or `edit` names a chat that the owner does not have.
            MessageNotFound: `anchor` is not in the chat (`edit`, `again`).
            InvalidRequest: `edit` names an answer.
            MessageConflict: the message id or the key was used with other content.
            ChatBusy: a run of this chat is active and `queue` is False.
            TooManyRuns: the owner has as many active runs as `bounds` allows.
            QueueFull: the run would wait, and as many wait as `bounds` allows.
            LimitReached: a bucket has too little left for a charge. Checked last.
        """
        ...

    async def reserve(self, claim: Claim, times: int) -> Run:
        """Take a run's reservation until it was taken so many times.

        Atomic, and idempotent: when it was taken so often already, nothing is changed.

        Args:
            claim: under which the run is written.
            times: how often in all, `Run.reservations` after this call.

        Returns:
            The run with its count.

        Raises:
            Fenced: the claim is lost, or the run has ended.
            RunNotFound: no such run, or it was deleted.
            LimitReached: a bucket has too little left.
        """
        ...

    async def claim(
        self, worker: str, limit: int, lease: float, per_owner: int | None = None
    ) -> Sequence[Claim]:
        """Claim runs: queued ones whose turn it is, and running ones whose lease ran out.

        Atomic for each run: epoch + 1, a new token, running, lease from now, a new span. Claiming
        a run whose lease ran out counts as a takeover.

        The owner with the fewest running runs is next, then the oldest run. A run whose lease ran
        out counts as running, before its takeover and after it. Of several partitions, the runs of
        one may come before those of another.

        Args:
            worker: the name of the claiming worker.
            limit: how many at most.
            lease: seconds.
            per_owner: the most runs of one owner that run at once; None is no bound. It bounds no
                takeover.
        """
        ...

    async def claim_run(self, run_id: str, worker: str, lease: float) -> Claim:
        """Claim one run, also one that another worker holds or whose turn has not come.

        Atomic, as `claim`, but it does not count as a takeover. From then on the former epoch can
        write nothing. A stop begins this way.

        Raises:
            Fenced: the run has ended.
            RunNotFound: no such run, or it was deleted.
        """
        ...

    async def wait_for_work(self, seconds: float) -> None:
        """Return when there may be something to claim that was not there before.

        A hint: it may return without a reason, and a lease that runs out does not notify it.
        Notifications since the last call are not lost.

        Args:
            seconds: the timeout.
        """
        ...

    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        """Renew leases from now on. Returns the claims that are lost."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back: they are queued again, claimable at once, their logs untouched.

        Idempotent; lost claims are skipped.
        """
        ...

    async def find(self, owner: str, chat_id: str, run_id: str | None = None) -> Run:
        """One run of a chat: the named one, or the active one (the oldest if several wait).

        Args:
            owner: whose chat it must be.
            chat_id: the chat.
            run_id: the run, or None for the active one.

        Raises:
            ChatNotFound: no such chat of this owner.
            RunNotFound: no such run in it, or none is active.
        """
        ...
