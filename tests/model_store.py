"""A store so naive that it is obviously right: what the real ones are compared with.

Everything is kept in lists and dicts in the order of its making, everything is looked up by
walking through them, and nothing is fast. Each operation first raises, then changes: where several
errors apply, the one that stands first here is the one that a store raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from durable_llm_streams.errors import (
    ChatBusy,
    ChatNotFound,
    CursorLost,
    Fenced,
    KeyConflict,
    LimitReached,
    MessageConflict,
    MessageNotFound,
    NotAQuestion,
    QueueFull,
    RunNotFound,
    SequenceMismatch,
    TooManyRuns,
)
from durable_llm_streams.model import (
    Charge,
    Chat,
    Claim,
    Epoch,
    Level,
    Message,
    Run,
    Span,
    Status,
)
from durable_llm_streams.store import (
    Append,
    Change,
    ChangeKind,
    Ending,
    Order,
    Page,
    Sent,
    Snapshot,
    take,
)
from durable_llm_streams.store.limits import level
from tests.model_visitors import ModelVisitors


@dataclass
class ModelRun:
    """A run with everything that belongs to it."""

    run: Run
    content: str
    log: list[bytes] = field(default_factory=list)
    log_expired: bool = False
    lease_until: int = 0

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def active(self) -> bool:
        return not self.run.status.ended

    @property
    def next_seq(self) -> int:
        return len(self.log) + 1

    def held_under(self, epoch: Epoch) -> bool:
        return self.run.status is Status.RUNNING and self.run.epoch == epoch

    def raise_epoch(self, token: str) -> None:
        epoch = Epoch(self.run.epoch.number + 1, token)
        spans = [span for span in self.run.spans if span.first != self.next_seq]
        spans.append(Span(self.next_seq, epoch))
        self.run = structs.replace(self.run, epoch=epoch, spans=tuple(spans))


@dataclass
class ModelChat:
    """A chat; its messages and runs oldest first."""

    chat: Chat
    messages: list[Message] = field(default_factory=list)
    runs: list[ModelRun] = field(default_factory=list)

    def message(self, message_id: str | None) -> Message:
        if not self.knows(message_id):
            raise MessageNotFound
        return next(message for message in self.messages if message.id == message_id)

    def knows(self, message_id: str | None) -> bool:
        return any(message.id == message_id for message in self.messages)

    def add(self, id_: str, parent: str | None, role: str, body: bytes, now: int,
            run_id: str | None = None) -> None:  # fmt: skip
        self.messages.append(
            Message(id=id_, parent=parent, role=role, body=body, created_at=now, run_id=run_id)
        )

    def branch(self, end: str | None) -> list[Message]:
        path: list[Message] = []
        while end is not None:
            path.insert(0, self.message(end))
            end = path[0].parent
        return path

    @property
    def waiting(self) -> list[ModelRun]:
        return [run for run in self.runs if run.active]

    @property
    def view(self) -> Chat:
        waiting = self.waiting
        return structs.replace(self.chat, active_run=waiting[0].id if waiting else None)


def _about(run: ModelRun) -> dict[str, str]:
    return {"run_id": run.id, "message_id": run.run.message_id}


class ModelStore:
    """The Store contract without a store.

    Args:
        now: the wall clock, in milliseconds.
        token: draws the token of an epoch.
    """

    def __init__(self, now: Callable[[], int], token: Callable[[], str]) -> None:
        self._now = now
        self._token = token
        self._chats: list[ModelChat] = []
        self._buckets: dict[str, int] = {}
        self.feed: list[tuple[str, Change]] = []  # (owner, change), without positions
        self.visitors = ModelVisitors()

    # --- records -------------------------------------------------------------------------------

    def append(self, batch: Sequence[Append]) -> list[bool]:
        return [self._append_one(item) for item in batch]

    def _append_one(self, item: Append) -> bool:
        if (run := self._held(item.run_id, item.epoch)) is None:
            return False
        if item.at == run.next_seq:
            run.log.extend(item.records)
            return True
        own = run.run.spans[-1].first
        return own <= item.at and item.at + len(item.records) <= run.next_seq

    def end(self, ending: Ending) -> Run:
        run = self._run(ending.run_id)
        if not run.active and ending.epoch == run.run.epoch:
            return run.run
        if not run.active or not run.held_under(ending.epoch):
            raise Fenced
        if ending.at != run.next_seq:
            raise SequenceMismatch(run.next_seq)
        self._charge(ending.charges, refuse=False)
        run.log.extend(ending.records)
        run.run = structs.replace(
            run.run, status=ending.status, ended_at=ending.now, charges=(), reservations=0
        )
        chat = self._chat_of(run)
        answer = chat.message(run.run.message_id)
        chat.messages[chat.messages.index(answer)] = structs.replace(answer, body=ending.body)
        self._touch(chat, ending.now)
        self._tell("run-ended", chat, **_about(run), status=run.run.status)
        return run.run

    def reserve(self, claim: Claim, times: int) -> Run:
        run = self._run(claim.run.id)
        if not run.held_under(claim.epoch):
            raise Fenced
        more = times - run.run.reservations
        if run.run.charges and more > 0:
            self._charge(run.run.charges * more)
            run.run = structs.replace(run.run, reservations=times)
        return run.run

    def _charge(self, charges: Sequence[Charge], *, refuse: bool = True) -> tuple[Level, ...]:
        now = self._now() * 1000
        self._buckets |= take(charges, self._buckets, now, refuse=refuse)
        return tuple(level(charge, self._buckets[charge.bucket], now) for charge in charges)

    def read(self, run_id: str, after: int) -> Page:
        """Everything after `after`, however much it is."""
        run = self._run(run_id)
        if after >= run.next_seq or (run.log_expired and after < len(run.log)):
            raise CursorLost
        return Page(after + 1, run.log[after:], run.next_seq, run.run.spans, run.run.status)

    # --- runs ----------------------------------------------------------------------------------

    def send(self, order: Order) -> Sent:
        chat = self._chat_for(order)
        found = self._repetition(order, chat)
        if found is not None:
            answer_id = found.run.message_id
            if order.shown and answer_id not in [m.id for m in chat.branch(chat.chat.head)]:
                chat.chat = structs.replace(chat.chat, head=self._newest_below(chat, answer_id))
            return Sent(found.run, created=False, claim=None)
        if chat.waiting and not order.queue:
            raise ChatBusy(chat.waiting[0].id)
        turn = not chat.waiting and self._may_begin(order)
        self._check_bounds(order, at_once=turn and order.worker is not None)
        before = len(chat.messages)
        prompt = self._prompt(order, chat)
        try:
            levels = self._charge((*order.charges, *order.reservation))
        except LimitReached:
            del chat.messages[before:]
            raise
        new = all(known is not chat for known in self._chats)
        if new:
            self._chats.append(chat)
        run = ModelRun(
            Run(
                id=order.run_id,
                owner=order.owner,
                chat_id=order.chat_id,
                prompt_id=prompt,
                message_id=order.answer_id,
                model=order.model,
                status=Status.QUEUED,
                created_at=order.now,
                key=order.key,
                charges=order.reservation,
                reservations=1 if order.reservation else 0,
            ),
            order.content,
        )
        chat.add(order.answer_id, prompt, "assistant", b"", order.now, run.id)
        chat.runs.append(run)
        chat.chat = structs.replace(chat.chat, head=order.answer_id)
        self._touch(chat, order.now)
        if new:
            self._tell("chat-created", chat)
        self._tell("run-started", chat, **_about(run))
        claim = None
        if order.worker is not None and turn:
            claim = self._claim_one(run, order.lease)
        return Sent(run.run, created=True, claim=claim, levels=levels)

    def _chat_for(self, order: Order) -> ModelChat:
        for chat in self._chats:
            if (chat.chat.owner, chat.chat.id) == (order.owner, order.chat_id):
                return chat
        if order.place != "follow":
            raise ChatNotFound
        return ModelChat(
            Chat(
                id=order.chat_id,
                owner=order.owner,
                title=order.title,
                created_at=order.now,
                updated_at=order.now,
            )
        )

    def _repetition(self, order: Order, chat: ModelChat) -> ModelRun | None:
        for run in chat.runs:
            if order.key is not None and run.run.key == order.key:
                if run.content != order.content:
                    raise KeyConflict
                return run
        for run in chat.runs:
            if run.id == order.run_id:
                return run
        if order.place == "again":
            prompt = self._asked_again(order, chat)
            for run in chat.waiting:
                if run.run.prompt_id == prompt:
                    return run
        return None

    def _asked_again(self, order: Order, chat: ModelChat) -> str:
        message = chat.message(chat.chat.head if order.anchor is None else order.anchor)
        if message.role == "user":
            return message.id
        assert message.parent is not None
        return message.parent

    def _prompt(self, order: Order, chat: ModelChat) -> str:
        if order.place == "again":
            return self._asked_again(order, chat)
        if order.place == "edit":
            edited = chat.message(order.anchor)
            if edited.role != "user":
                raise NotAQuestion
            parent = edited.parent
        else:
            parent = order.anchor if chat.knows(order.anchor) else chat.chat.head
        assert order.message_id is not None
        if chat.knows(order.message_id):
            raise MessageConflict
        chat.add(order.message_id, parent, "user", order.body, order.now)
        return order.message_id

    def _may_begin(self, order: Order) -> bool:
        running, most = self._running(order.owner), order.bounds.running
        ahead = [
            run
            for run in self._all_runs()
            if self._is_first(run)
            and run.run.owner != order.owner
            and self._running(run.run.owner) <= running
        ]
        return not ahead and (most is None or running < most)

    def _check_bounds(self, order: Order, *, at_once: bool) -> None:
        bounds = order.bounds
        active = [run.run for run in self._all_runs() if run.active]
        own = [run for run in active if run.owner == order.owner]
        waiting = [run for run in active if run.status is Status.QUEUED]
        if bounds.active is not None and len(own) >= bounds.active:
            raise TooManyRuns(bounds.active)
        if not at_once and bounds.waiting is not None and len(waiting) >= bounds.waiting:
            raise QueueFull(bounds.waiting)

    def _running(self, owner: str) -> int:
        runs = [run.run for run in self._all_runs()]
        return len([run for run in runs if (run.owner, run.status) == (owner, Status.RUNNING)])

    def _is_first(self, run: ModelRun) -> bool:
        return run.run.status is Status.QUEUED and self._chat_of(run).waiting[0] is run

    def claim(self, limit: int, lease: float, per_owner: int | None = None) -> list[Claim]:
        claims: list[Claim] = []
        while len(claims) < limit:
            free = [
                (self._running(run.run.owner), run.id, run)
                for run in self._all_runs()
                if (run.run.status is Status.RUNNING and run.lease_until <= self._now())
                or (
                    self._is_first(run)
                    and (per_owner is None or self._running(run.run.owner) < per_owner)
                )
            ]
            if not free:
                break
            claims.append(self._claim_one(min(free, key=lambda one: one[:2])[2], lease))
        return claims

    def seize(self, run_id: str, lease: float) -> Claim:
        run = self._run(run_id)
        if not run.active:
            raise Fenced
        takeovers = run.run.takeovers
        claim = self._claim_one(run, lease)
        run.run = structs.replace(run.run, takeovers=takeovers)
        return claim._replace(run=run.run)

    def _claim_one(self, run: ModelRun, lease: float) -> Claim:
        taken_over = run.run.status is Status.RUNNING
        run.raise_epoch(self._token())
        run.run = structs.replace(
            run.run,
            status=Status.RUNNING,
            takeovers=run.run.takeovers + taken_over,
            started_at=self._now() if run.run.started_at is None else run.run.started_at,
        )
        run.lease_until = self._now() + round(lease * 1000)
        return Claim(run.run, run.run.epoch, run.next_seq)

    def renew(self, claims: Sequence[Claim], lease: float) -> list[Claim]:
        lost = []
        for claim in claims:
            if (run := self._held(claim.run.id, claim.epoch)) is None:
                lost.append(claim)
            else:
                run.lease_until = self._now() + round(lease * 1000)
        return lost

    def release(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if (run := self._held(claim.run.id, claim.epoch)) is not None:
                run.run = structs.replace(run.run, status=Status.QUEUED)

    def find_run(self, owner: str, chat_id: str, run_id: str | None = None) -> Run:
        chat = self._own(owner, chat_id)
        for run in chat.runs:
            if (run_id is None and run.active) or run.id == run_id:
                return run.run
        raise RunNotFound

    def any_run(self, run_id: str) -> Run:
        return self._run(run_id).run

    def runs(self) -> list[Run]:
        return [run.run for run in reversed(list(self._all_runs()))]

    def lose_leases(self) -> None:
        """What the death of the process does to a store that keeps leases in memory."""
        for run in self._all_runs():
            run.lease_until = 0

    # --- chats ---------------------------------------------------------------------------------

    def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        chat = self._own(owner, chat_id)
        end = chat.chat.head if leaf is None else self._newest_below(chat, leaf)
        versions = [(message.id, message.parent, message.role) for message in chat.messages]
        active = next(iter(chat.waiting), None)
        log = None if active is None else self.read(active.id, 0)
        return Snapshot(
            chat.view, chat.branch(end), versions, None if active is None else active.run, log
        )

    def _newest_below(self, chat: ModelChat, leaf: str) -> str:
        chat.message(leaf)
        children = [message for message in chat.messages if message.parent == leaf]
        return self._newest_below(chat, children[-1].id) if children else leaf

    def thread(self, run_id: str) -> list[Message]:
        run = self._run(run_id)
        return self._chat_of(run).branch(run.run.prompt_id)

    def chats(self, owner: str, query: str = "") -> list[Chat]:
        """All of them, in any order."""
        return [
            chat.view
            for chat in self._chats
            if chat.chat.owner == owner and query.casefold() in chat.chat.title.casefold()
        ]

    def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        chat = self._own(owner, chat_id)
        chat.chat = structs.replace(chat.chat, title=title)
        self._tell("chat-renamed", chat)
        return chat.view

    def delete(self, owner: str, chat_id: str) -> None:
        chat = self._own(owner, chat_id)
        self._chats.remove(chat)
        self._tell("chat-deleted", chat)

    def expire(self, *, now: int, log_age: float, chat_age: float) -> None:
        for run in self._all_runs():
            if run.run.ended_at is not None and run.run.ended_at < now - log_age * 1000:
                run.log_expired = True
        for chat in list(self._chats):
            old = chat.chat.updated_at < now - chat_age * 1000
            if chat_age > 0 and old and not chat.waiting:
                self._chats.remove(chat)
                self._tell("chat-deleted", chat)

    def changes(self, owner: str, after: int) -> list[Change]:
        """An owner's changes among those behind the first so many of all."""
        return [change for whose, change in self.feed[after:] if whose == owner]

    def _tell(self, kind: ChangeKind, chat: ModelChat, **about: Any) -> None:
        view = None if kind == "chat-deleted" else chat.view
        change = Change(kind=kind, position="", chat_id=chat.chat.id, chat=view, **about)
        self.feed.append((chat.chat.owner, change))

    # --- looking up ----------------------------------------------------------------------------

    def _all_runs(self) -> Iterator[ModelRun]:
        """Oldest first: the ids of runs are made in order."""
        runs = [run for chat in self._chats for run in chat.runs]
        return iter(sorted(runs, key=lambda run: run.id))

    def _run(self, run_id: str) -> ModelRun:
        for run in self._all_runs():
            if run.id == run_id:
                return run
        raise RunNotFound

    def _held(self, run_id: str, epoch: Epoch) -> ModelRun | None:
        runs = (run for run in self._all_runs() if run.id == run_id and run.held_under(epoch))
        return next(runs, None)

    def _chat_of(self, run: ModelRun) -> ModelChat:
        return next(chat for chat in self._chats if run in chat.runs)

    def _own(self, owner: str, chat_id: str) -> ModelChat:
        for chat in self._chats:
            if (chat.chat.owner, chat.chat.id) == (owner, chat_id):
                return chat
        raise ChatNotFound

    def _touch(self, chat: ModelChat, now: int) -> None:
        chat.chat = structs.replace(chat.chat, updated_at=max(chat.chat.updated_at, now))
