"""Runs in the file: accept a message, claim, renew, release."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from msgspec import structs
from typing_extensions import override

from durable_llm_streams.errors import (
    ChatBusy,
    ChatNotFound,
    Fenced,
    KeyConflict,
    MessageConflict,
    MessageNotFound,
    NotAQuestion,
    RunNotFound,
)
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.store import Order, RunList, RunStore, Sent

from .active_runs import ActiveRun, ActiveRuns
from .buckets import charge, write_reservation
from .feed import SQLiteFeed
from .file import DatabaseFile
from .messages import find_message, has_message, newest_below, path
from .rows import (
    RUN_COLUMNS,
    chat_from_row,
    chat_row,
    find_chat,
    find_run,
    newest_runs,
    run_from_row,
    spans_to_blob,
    update_run,
)
from .seen_time import SeenTime


class SQLiteRuns(RunStore, RunList):
    """Runs over the file. One process serves it, so workers' names are not used.

    Args:
        file: the serving connection.
        active: the runs that have not ended.
        feed: where new chats and runs are published.
        seen: the time that the store has seen pass.
        now: the wall clock, in milliseconds.
    """

    def __init__(
        self,
        file: DatabaseFile,
        active: ActiveRuns,
        feed: SQLiteFeed,
        seen: SeenTime,
        now: Callable[[], int],
    ) -> None:
        self._file = file
        self._active = active
        self._feed = feed
        self._seen = seen
        self._now = now

    # --- sending -----------------------------------------------------------------------------

    @override
    async def send(self, order: Order) -> Sent:
        with self._file.transaction() as connection:
            chat = _own_chat(connection, order)
            if chat is not None:
                found = self._duplicate(connection, order, chat[0])
                if found is not None:
                    if order.shown:
                        self._show(connection, chat[0], found.message_id)
                    active = self._active.get(found.id)
                    run = found if active is None else active.run
                    return Sent(run, created=False, claim=None)
            key, head = chat or (_insert_chat(connection, order), None)
            ahead = self._active.first_of(key)
            if ahead is not None and not order.queue:
                raise ChatBusy(ahead)
            at_once = (
                order.worker is not None
                and ahead is None
                and self._active.turns.may_begin(order.owner, order.bounds.running)
            )
            self._active.turns.check(order.owner, order.bounds, waits=not at_once)
            prompt = self._place_prompt(connection, order, key, head)
            run = Run(
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
            )
            taken = (*order.charges, *order.reservation)
            levels = charge(connection, taken, self._now())
            if at_once:
                run = self._active.claimed(run, next_seq=1)
            run_key = _insert_run(connection, order, key, run)
            write_reservation(connection, run_key, run)
            connection.execute(
                "UPDATE chat SET updated_at = max(updated_at, ?), seen_at = ?, head = ?"
                " WHERE key = ?",
                (order.now, self._seen.stamp(), order.answer_id, key),
            )
            row = chat_row(connection, key)
        active = ActiveRun(run_key, key, run)
        self._active.add(active)
        shown = chat_from_row(row, self._active.first_of(key))
        if chat is None:
            self._feed.publish("chat-created", shown)
        self._feed.publish("run-started", shown, run)
        if run.status is Status.QUEUED:
            return Sent(run, True, None, levels)
        active.lease_until = self._active.lease_until(order.lease)
        return Sent(run, True, Claim(run, run.epoch, 1), levels)

    @override
    async def reserve(self, claim: Claim, times: int) -> Run:
        active = self._active.get(claim.run.id)
        if active is None:
            with self._file.translated_errors():
                find_run(self._file.connection, claim.run.id)
            raise Fenced
        if not active.held_by(claim):
            raise Fenced
        more = times - active.run.reservations
        if more > 0 and active.run.charges:
            run = structs.replace(active.run, reservations=times)
            with self._file.transaction() as connection:
                charge(connection, active.run.charges * more, self._now())
                write_reservation(connection, active.key, run)
            active.become(run)
        return active.run

    def _show(self, connection: sqlite3.Connection, chat: int, answer: str) -> None:
        """Move the head to an answer's branch, unless it is there already."""
        (head,) = connection.execute("SELECT head FROM chat WHERE key = ?", (chat,)).fetchone()
        if all(message.id != answer for message in path(connection, chat, head)):
            versions = connection.execute(
                "SELECT id, parent, role FROM message WHERE chat = ? ORDER BY key", (chat,)
            ).fetchall()
            connection.execute(
                "UPDATE chat SET head = ? WHERE key = ?", (newest_below(versions, answer), chat)
            )

    def _duplicate(self, connection: sqlite3.Connection, order: Order, chat: int) -> Run | None:
        if order.key is not None:
            row = connection.execute(
                f"SELECT content, {RUN_COLUMNS} FROM run WHERE chat = ? AND dedup = ?",
                (chat, order.key),
            ).fetchone()
            if row is not None:
                if row[0] != order.content:
                    raise KeyConflict
                return run_from_row(row[1:])
        row = connection.execute(
            f"SELECT {RUN_COLUMNS} FROM run WHERE chat = ? AND id = ?", (chat, order.run_id)
        ).fetchone()
        if row is not None:  # this very order was executed before
            return run_from_row(row)
        if order.place == "again":
            prompt = self._prompt_again(connection, order, chat)
            for active in self._active.of_chat(chat):
                if active.run.prompt_id == prompt:
                    return active.run
        return None

    def _place_prompt(
        self, connection: sqlite3.Connection, order: Order, chat: int, head: str | None
    ) -> str:
        """Insert the user message, if there is one, and its answer. Returns the prompt's id."""
        if order.place == "again":
            prompt = self._prompt_again(connection, order, chat)
        else:
            if order.place == "edit":
                parent, role, _ = find_message(connection, chat, order.anchor or "")
                if role != "user":
                    raise NotAQuestion
            else:
                known = order.anchor is not None and has_message(connection, chat, order.anchor)
                parent = order.anchor if known else head
            if order.message_id is None or has_message(connection, chat, order.message_id):
                raise MessageConflict
            prompt = order.message_id
            connection.execute(
                "INSERT INTO message (chat, id, parent, role, body, created_at)"
                " VALUES (?, ?, ?, 'user', ?, ?)",
                (chat, prompt, parent, order.body, order.now),
            )
        connection.execute(
            "INSERT INTO message (chat, id, parent, role, body, created_at, run)"
            " VALUES (?, ?, ?, 'assistant', x'', ?, ?)",
            (chat, order.answer_id, prompt, order.now, order.run_id),
        )
        return prompt

    def _prompt_again(self, connection: sqlite3.Connection, order: Order, chat: int) -> str:
        anchor = order.anchor
        if anchor is None:
            (anchor,) = connection.execute(
                "SELECT head FROM chat WHERE key = ?", (chat,)
            ).fetchone()
        parent, role, id_ = find_message(connection, chat, anchor or "")
        if role == "user":
            return id_
        if parent is None:
            raise MessageNotFound("There is no question before this answer.")
        return parent

    # --- claiming ----------------------------------------------------------------------------

    @override
    async def claim(
        self, worker: str, limit: int, lease: float, per_owner: int | None = None
    ) -> Sequence[Claim]:
        self._seen.check_jump()  # workers look for runs all the time
        free = self._active.claimable(limit, per_owner)
        runs = [self._active.claimed(active.run, active.next_seq) for active in free]
        claims = self._claim(free, runs, lease)
        for active in free:
            active.wake()  # the readers of a queued run get its new status
        return claims

    @override
    async def claim_run(self, run_id: str, worker: str, lease: float) -> Claim:
        active = self._active.get(run_id)
        if active is None:
            with self._file.translated_errors():
                find_run(self._file.connection, run_id)
            raise Fenced
        run = self._active.claimed(active.run, active.next_seq)
        run = structs.replace(run, takeovers=active.run.takeovers)
        # Its readers are not woken: they wait for the end that the caller writes.
        return self._claim([active], [run], lease)[0]

    def _claim(self, free: Sequence[ActiveRun], runs: Sequence[Run], lease: float) -> list[Claim]:
        if not free:
            return []
        with self._file.transaction() as connection:
            for active, run in zip(free, runs, strict=True):
                update_run(connection, run, active.next_seq)
        for active, run in zip(free, runs, strict=True):
            active.become(run)
            self._active.changed(active)
            active.lease_until = self._active.lease_until(lease)
        return [Claim(a.run, a.run.epoch, a.next_seq) for a in free]

    @override
    async def wait_for_work(self, seconds: float) -> None:
        await self._active.work.wait(seconds)

    @override
    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        # Leases are only in memory: they end with the process.
        until = self._active.lease_until(lease)
        lost = []
        for claim in claims:
            active = self._active.get(claim.run.id)
            if active is None or not active.held_by(claim):
                lost.append(claim)
            else:
                active.lease_until = until
        return lost

    @override
    async def release(self, claims: Sequence[Claim]) -> None:
        held = [
            active
            for claim in claims
            if (active := self._active.get(claim.run.id)) is not None and active.held_by(claim)
        ]
        if held:
            with self._file.transaction() as connection:
                for active in held:
                    queued = structs.replace(active.run, status=Status.QUEUED)
                    update_run(connection, queued, active.next_seq)
            for active in held:
                active.become(structs.replace(active.run, status=Status.QUEUED))
                self._active.changed(active)
                active.lease_until = 0
            self._active.work.notify()

    # --- finding -----------------------------------------------------------------------------

    @override
    async def find(self, owner: str, chat_id: str, run_id: str | None = None) -> Run:
        connection = self._file.connection
        with self._file.translated_errors():
            key = find_chat(connection, owner, chat_id)[0]
            if run_id is None:
                for active in self._active.of_chat(key):
                    return active.run
                raise RunNotFound("No answer is being written in this chat.")
            known = self._active.get(run_id)
            run = find_run(connection, run_id) if known is None else known.run
            if (run.owner, run.chat_id) != (owner, chat_id):
                raise RunNotFound
            return run

    @override
    async def any_run(self, run_id: str) -> Run:
        known = self._active.get(run_id)
        if known is not None:
            return known.run
        with self._file.translated_errors():
            return find_run(self._file.connection, run_id)

    @override
    async def newest(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        with self._file.translated_errors():
            runs = newest_runs(self._file.connection, active=active, limit=limit)
        known = [self._active.get(run.id) for run in runs]
        return [at.run if at else run for at, run in zip(known, runs, strict=True)]


def _own_chat(connection: sqlite3.Connection, order: Order) -> tuple[int, str | None] | None:
    """(key, head) of the order's chat; None if it is to be created."""
    row: tuple[int, str | None] | None = connection.execute(
        "SELECT key, head FROM chat WHERE owner = ? AND id = ?", (order.owner, order.chat_id)
    ).fetchone()
    if row is None and order.place != "follow":
        raise ChatNotFound
    return row


def _insert_chat(connection: sqlite3.Connection, order: Order) -> int:
    cursor = connection.execute(
        "INSERT INTO chat (id, owner, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        (order.chat_id, order.owner, order.title, order.now, order.now),
    )
    return cursor.lastrowid or 0


def _insert_run(connection: sqlite3.Connection, order: Order, chat: int, run: Run) -> int:
    cursor = connection.execute(
        "INSERT INTO run (id, chat, dedup, content, prompt, answer, model, status, epoch, token,"
        " takeovers, spans, next_seq, created_at, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 1, ?, ?)",
        (run.id, chat, order.key, order.content, run.prompt_id, run.message_id, run.model,
         run.status, run.epoch.number, run.epoch.token, spans_to_blob(run.spans),
         run.created_at, run.started_at),
    )  # fmt: skip
    return cursor.lastrowid or 0
