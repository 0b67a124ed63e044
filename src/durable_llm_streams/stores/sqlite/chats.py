"""Chats and their messages in the file."""

from __future__ import annotations

import re
import sqlite3

from msgspec import structs

from durable_llm_streams.chunks import Lines
from durable_llm_streams.errors import (
    ChatBusy,
    ChatNotFound,
    InvalidRequest,
    MessageConflict,
    MessageNotFound,
    RunNotFound,
)
from durable_llm_streams.model import Chat, Claim, Message, Run, Status
from durable_llm_streams.store import ChatPage, Order, Sent, Snapshot

from .feed import Feeds
from .file import DatabaseFile
from .journal import ActiveRun
from .log import Logs
from .rows import (
    CHAT_COLUMNS,
    RUN_COLUMNS,
    ChatRow,
    chat_from_row,
    chat_row,
    run_from_row,
    spans_to_blob,
)
from .seen_time import SeenTime

_MESSAGE_COLUMNS = "id, parent, role, body, created_at, run"

_WHOLE_LOG = 1 << 62


class Chats:
    """Chats over the file; the active runs come from `logs`."""

    def __init__(self, file: DatabaseFile, logs: Logs, feeds: Feeds, seen: SeenTime) -> None:
        self._file = file
        self._seen = seen
        self._logs = logs
        self._feeds = feeds

    # --- sending -----------------------------------------------------------------------------

    def send(self, order: Order) -> Sent:
        """See `RunStore.send`."""
        with self._file.transaction() as connection:
            chat = self._own(order.owner, order.chat_id, missing_ok=order.place == "follow")
            if chat is not None:
                found = self._repetition(order, chat[0])
                if found is not None:
                    if order.shown:
                        self._show(connection, chat[0], found.message_id)
                    return Sent(found, created=False, claim=None)
            key, head = chat or (_insert_chat(connection, order), None)
            waits = key in self._logs.queues
            if waits and not order.queue:
                raise ChatBusy(self._logs.queues[key][0])
            prompt = self._place_prompt(connection, order, key, head)
            run = Run(
                id=order.run_id,
                chat_id=order.chat_id,
                prompt_id=prompt,
                message_id=order.answer_id,
                model=order.model,
                status=Status.QUEUED,
                created_at=order.now,
                key=order.key,
            )
            if order.worker is not None and not waits:
                run = self._logs.claimed(run, next_seq=1)
            run_key = _insert_run(connection, order, key, run)
            connection.execute(
                "UPDATE chat SET updated_at = max(updated_at, ?), seen_at = ?, head = ?"
                " WHERE key = ?",
                (order.now, self._seen.stamp(), order.answer_id, key),
            )
            row = chat_row(connection, key)
        active = ActiveRun(run_key, key, run)
        self._logs.add(active)
        told = self._chat_from_row(row)
        if chat is None:
            self._feeds.tell("chat-created", told)
        self._feeds.tell("run-started", told, run)
        if run.status is Status.QUEUED:
            return Sent(run, created=True, claim=None)
        active.lease_until = self._logs.lease_until(order.lease)
        return Sent(run, created=True, claim=Claim(run, run.epoch, 1))

    def _show(self, connection: sqlite3.Connection, chat: int, answer: str) -> None:
        """Let the head go to an answer's branch, if it is not on it."""
        (head,) = connection.execute("SELECT head FROM chat WHERE key = ?", (chat,)).fetchone()
        if all(message.id != answer for message in self._path(chat, head)):
            versions = connection.execute(
                "SELECT id, parent, role FROM message WHERE chat = ? ORDER BY key", (chat,)
            ).fetchall()
            connection.execute(
                "UPDATE chat SET head = ? WHERE key = ?", (_newest_below(versions, answer), chat)
            )

    def _repetition(self, order: Order, chat: int) -> Run | None:
        if order.key is not None:
            row = self._file.connection.execute(
                f"SELECT content, {RUN_COLUMNS} FROM run WHERE chat = ? AND dedup = ?",
                (chat, order.key),
            ).fetchone()
            if row is not None:
                if row[0] != order.content:
                    raise MessageConflict(
                        "This id was used before with another content. Give the message a new id."
                    )
                return run_from_row(row[1:])
        if order.place == "again":
            prompt = self._asked_again(order, chat)
            for run in self._logs.chat_runs(chat):
                if run.prompt_id == prompt:
                    return run
        return None

    def _place_prompt(
        self, connection: sqlite3.Connection, order: Order, chat: int, head: str | None
    ) -> str:
        """Insert the user message, if there is one, and its answer. Returns the prompt's id."""
        if order.place == "again":
            prompt = self._asked_again(order, chat)
        else:
            if order.place == "edit":
                parent, role, _ = self._message(chat, order.anchor or "")
                if role != "user":
                    raise InvalidRequest("Only a user's message can be edited.")
            else:
                known = order.anchor is not None and self._has_message(chat, order.anchor)
                parent = order.anchor if known else head
            if order.message_id is None or self._has_message(chat, order.message_id):
                raise MessageConflict("A message with this id exists. Give it a new id.")
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

    def _asked_again(self, order: Order, chat: int) -> str:
        anchor = order.anchor
        if anchor is None:
            (anchor,) = self._file.connection.execute(
                "SELECT head FROM chat WHERE key = ?", (chat,)
            ).fetchone()
        parent, role, id_ = self._message(chat, anchor or "")
        if role == "user":
            return id_
        if parent is None:
            raise MessageNotFound("There is no question before this answer.")
        return parent

    # --- reading -----------------------------------------------------------------------------

    def snapshot(self, owner: str, chat_id: str, leaf: str | None) -> Snapshot:
        """See `ChatStore.snapshot`."""
        with self._file.translated_errors():
            key, chat = self._chat(owner, chat_id)
            versions = self._file.connection.execute(
                "SELECT id, parent, role FROM message WHERE chat = ? ORDER BY key", (key,)
            ).fetchall()
            end = chat.head if leaf is None else _newest_below(versions, leaf)
            messages = self._path(key, end) if end else []
            if chat.active_run is None:
                return Snapshot(chat, messages, versions, None, None)
            log = self._logs.page(chat.active_run, 0, _WHOLE_LOG)
            while log.last + 1 < log.next_seq:
                more = self._logs.page(chat.active_run, log.last, _WHOLE_LOG)
                log = structs.replace(log, records=Lines.of(log.records, more.records))
            run = self._logs.active[chat.active_run].run
            return Snapshot(chat, messages, versions, run, log)

    def thread(self, run_id: str) -> list[Message]:
        """See `ChatStore.thread`."""
        with self._file.translated_errors():
            row = self._file.connection.execute(
                "SELECT chat, prompt FROM run WHERE id = ?", (run_id,)
            ).fetchone()
            if row is None:
                raise RunNotFound("There is no such run (any more).")
            return self._path(row[0], row[1])

    def chats(self, owner: str, query: str, limit: int, more: str | None) -> ChatPage:
        """See `ChatStore.chats`."""
        before, below = _read_token(more)
        with self._file.translated_errors():
            rows = self._file.connection.execute(
                f"SELECT {CHAT_COLUMNS} FROM chat WHERE owner = ?"
                " AND (updated_at, key) < (?, ?) AND (? = '' OR instr(casefold(title), ?))"
                " ORDER BY updated_at DESC, key DESC LIMIT ?",
                (owner, before, below, query, query.casefold(), limit + 1),
            ).fetchall()
        chats = [self._chat_from_row(row) for row in rows[:limit]]
        token = f"{rows[limit - 1][5]}-{rows[limit - 1][0]}" if len(rows) > limit else None
        return ChatPage(chats, token)

    def find_run(self, owner: str | None, chat_id: str, run_id: str | None) -> Run:
        """See `RunStore.find_run`."""
        with self._file.translated_errors():
            key, _ = self._chat(owner, chat_id)
            if run_id is None:
                for run in self._logs.chat_runs(key):
                    return run
                raise RunNotFound("No answer is being written in this chat.")
            run = self._logs.find(run_id)
            if run.chat_id != chat_id:
                raise RunNotFound("There is no such run in this chat.")
            return run

    # --- changing ----------------------------------------------------------------------------

    def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """See `ChatStore.rename`."""
        with self._file.transaction() as connection:
            key, _ = self._chat(owner, chat_id)
            connection.execute("UPDATE chat SET title = ? WHERE key = ?", (title, key))
            _, chat = self._chat(owner, chat_id)
        self._feeds.tell("chat-renamed", chat)
        return chat

    def delete(self, owner: str, chat_id: str) -> None:
        """See `ChatStore.delete`."""
        with self._file.transaction() as connection:
            key, chat = self._chat(owner, chat_id)
            connection.execute("DELETE FROM chat WHERE key = ?", (key,))
        self._forget_runs(key)
        self._feeds.tell("chat-deleted", chat)

    def expire(self, now: int, log_age: float, chat_age: float) -> int:
        """See `Store.expire`."""
        gone = 0
        deleted: list[ChatRow] = []
        with self._seen.look(now, log_age, chat_age) as (connection, seen):
            rows = connection.execute(
                "SELECT key FROM run WHERE seen_at < ? AND has_log LIMIT 200",
                (seen - round(log_age * 1000),),
            ).fetchall()
            for row in rows:
                connection.execute("DELETE FROM segment WHERE run = ?", row)
                connection.execute("UPDATE run SET has_log = 0 WHERE key = ?", row)
            gone += len(rows)
            if chat_age > 0:
                deleted = connection.execute(
                    f"SELECT {CHAT_COLUMNS} FROM chat WHERE seen_at < ?"
                    " AND NOT EXISTS (SELECT 1 FROM run WHERE chat = chat.key"
                    " AND status IN ('queued', 'running')) LIMIT 50",
                    (seen - round(chat_age * 1000),),
                ).fetchall()
                connection.executemany("DELETE FROM chat WHERE key = ?", [r[:1] for r in deleted])
                gone += len(deleted)
        for row in deleted:
            self._feeds.tell("chat-deleted", self._chat_from_row(row))
        return gone

    def _forget_runs(self, chat: int) -> None:
        for run_id in list(self._logs.queues.get(chat, ())):
            self._logs.forget(self._logs.active[run_id])

    # --- rows --------------------------------------------------------------------------------

    def _own(self, owner: str, chat_id: str, *, missing_ok: bool) -> tuple[int, str | None] | None:
        """(key, head) of an owner's chat; None when there is none and that is in order."""
        row = self._file.connection.execute(
            "SELECT key, head, owner FROM chat WHERE id = ?", (chat_id,)
        ).fetchone()
        if row is None and missing_ok:
            return None
        if row is None or row[2] != owner:
            raise _no_chat()
        return row[0], row[1]

    def _chat(self, owner: str | None, chat_id: str) -> tuple[int, Chat]:
        row = self._file.connection.execute(
            f"SELECT {CHAT_COLUMNS} FROM chat WHERE id = ?", (chat_id,)
        ).fetchone()
        if row is None or (owner is not None and row[2] != owner):
            raise _no_chat()
        return row[0], self._chat_from_row(row)

    def _chat_from_row(self, row: ChatRow) -> Chat:
        return chat_from_row(row, self._logs.first_of(row[0]))

    def _has_message(self, chat: int, message_id: str) -> bool:
        row = self._file.connection.execute(
            "SELECT 1 FROM message WHERE chat = ? AND id = ?", (chat, message_id)
        ).fetchone()
        return row is not None

    def _message(self, chat: int, message_id: str) -> tuple[str | None, str, str]:
        row: tuple[str | None, str, str] | None = self._file.connection.execute(
            "SELECT parent, role, id FROM message WHERE chat = ? AND id = ?", (chat, message_id)
        ).fetchone()
        if row is None:
            raise MessageNotFound("There is no such message in this chat. Load the chat again.")
        return row

    def _path(self, chat: int, end: str) -> list[Message]:
        rows = self._file.connection.execute(
            f"WITH RECURSIVE path (depth, {_MESSAGE_COLUMNS}) AS ("
            f" SELECT 0, {_MESSAGE_COLUMNS} FROM message WHERE chat = ? AND id = ?"
            " UNION ALL SELECT depth + 1, m.id, m.parent, m.role, m.body, m.created_at, m.run"
            " FROM path JOIN message m ON m.chat = ? AND m.id = path.parent)"
            f" SELECT {_MESSAGE_COLUMNS} FROM path ORDER BY depth DESC",
            (chat, end, chat),
        )
        return [
            Message(id=id_, parent=parent, role=role, body=body, created_at=created, run_id=run)
            for id_, parent, role, body, created, run in rows
        ]


def _no_chat() -> ChatNotFound:
    return ChatNotFound("There is no such chat, or it is not yours.")


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


def _newest_below(versions: list[tuple[str, str | None, str]], leaf: str) -> str:
    """The message that is reached from `leaf` by always going to the newest child."""
    if all(id_ != leaf for id_, _, _ in versions):
        raise MessageNotFound("There is no such message in this chat. Load the chat again.")
    newest = {parent: id_ for id_, parent, _ in versions}
    while leaf in newest:
        leaf = newest[leaf]
    return leaf


def _read_token(more: str | None) -> tuple[int, int]:
    if more is None:
        return 1 << 62, 0
    match = re.fullmatch(r"(\d{1,15})-(\d{1,15})", more, re.ASCII)
    if match is None:
        raise InvalidRequest("`before` is not a token of this list. Use `next` of the page before.")
    return int(match[1]), int(match[2])
