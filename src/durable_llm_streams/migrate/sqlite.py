"""Reads chats from an SQLite file and adds chats to it. See `portable`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path

from typing_extensions import override

from durable_llm_streams.errors import CursorLost
from durable_llm_streams.model import Message
from durable_llm_streams.store import PAGE_BYTES
from durable_llm_streams.stores.sqlite import SQLiteStore
from durable_llm_streams.stores.sqlite.file import Synchronous
from durable_llm_streams.stores.sqlite.journal import SEGMENT_BYTES
from durable_llm_streams.stores.sqlite.rows import (
    CHAT_COLUMNS,
    RUN_COLUMNS,
    chat_from_row,
    run_from_row,
    spans_to_blob,
)

from .portable import (
    Bodies,
    ChatName,
    Content,
    Listing,
    MovedRun,
    Outline,
    Portable,
    Records,
    at_rest,
)

_LISTED_AT_ONCE = 500


class PortableSQLite(Portable):
    """The chats of a file. It takes the same lock as a server.

    Args:
        path: the file; created if it does not exist.
        synchronous: see `DatabaseFile`.

    Raises:
        StoreLocked: another process uses the file.
        StoreUnusable: it is not a store, is not writable, or is too new.
    """

    def __init__(self, path: Path, synchronous: Synchronous = "NORMAL") -> None:
        self.name = f"sqlite:///{path}"
        self._adding = asyncio.Lock()
        self._store = SQLiteStore(path, synchronous=synchronous)
        self._file = self._store.file
        self._seen = self._store.seen

    @override
    async def refuse_served(self) -> None:
        # Raises StoreLocked if another process has taken the lock.
        with self._file.transaction():
            pass

    @override
    async def count(self) -> int:
        with self._file.translated_errors():
            (count,) = self._file.connection.execute("SELECT count(*) FROM chat").fetchone()
        return int(count)

    @override
    async def listing(self, place: str = "") -> Listing:
        seen_at, key = map(int, place.split(":")) if place else (-(1 << 62), 0)
        with self._file.translated_errors():
            rows = self._file.connection.execute(
                "SELECT owner, id, seen_at, key FROM chat WHERE (seen_at, key) > (?, ?)"
                " ORDER BY seen_at, key LIMIT ?",
                (seen_at, key, _LISTED_AT_ONCE),
            ).fetchall()
        last = rows[-1] if len(rows) == _LISTED_AT_ONCE else None
        return Listing([ChatName(*row[:2]) for row in rows], last and f"{last[2]}:{last[3]}")

    @override
    async def outline(self, name: ChatName) -> Outline | None:
        connection = self._file.connection
        with self._file.translated_errors():
            row = connection.execute(
                f"SELECT {CHAT_COLUMNS}, seen_at FROM chat WHERE owner = ? AND id = ?", name
            ).fetchone()
            if row is None:
                return None
            *columns, seen_at = row
            messages = connection.execute(
                "SELECT id, parent, role, created_at, run FROM message WHERE chat = ? ORDER BY key",
                row[:1],
            ).fetchall()
            runs = connection.execute(
                f"SELECT content, next_seq, has_log, seen_at, {RUN_COLUMNS} FROM run WHERE chat = ?"
                " ORDER BY key",
                row[:1],
            ).fetchall()
        return Outline(
            chat_from_row(tuple(columns), None),
            tuple(
                Message(id=id_, parent=parent, role=role, body=b"", created_at=at, run_id=run)
                for id_, parent, role, at, run in messages
            ),
            tuple(self._moved(*run) for run in runs),
            self._age(seen_at),
        )

    def _age(self, seen_at: int) -> int:
        return max(0, self._seen.stamp() - seen_at)

    def _moved(
        self, content: str, next_seq: int, has_log: int, seen_at: int | None, *columns: object
    ) -> MovedRun:
        run = run_from_row(columns)
        active = self._store.active.get(run.id)
        if active is not None:
            next_seq = active.next_seq
        age = 0 if seen_at is None else self._age(seen_at)
        return MovedRun(at_rest(run), content, next_seq, bool(has_log), age)

    @override
    async def contents(self, outline: Outline) -> AsyncGenerator[Content, None]:
        for first, bodies in self._bodies(ChatName.of(outline.chat)):
            yield Bodies(first, bodies)
        for moved in outline.runs:
            after = 0
            while moved.has_log and after + 1 < moved.next_seq:
                page = self._store.pages.page(moved.run.id, after)
                if not page.records:
                    raise CursorLost
                yield Records(moved.run.id, page.first, page.records)
                after = page.last

    def _bodies(self, name: ChatName) -> Iterator[tuple[int, list[bytes]]]:
        """All bodies in pages, each with the index of its first body."""
        first, size = 0, 0
        page: list[bytes] = []
        with self._file.translated_errors():
            for (body,) in self._file.connection.execute(
                "SELECT body FROM message"
                " WHERE chat = (SELECT key FROM chat WHERE owner = ? AND id = ?) ORDER BY key",
                name,
            ):
                if page and size + len(body) > PAGE_BYTES:
                    yield first, page
                    first, size, page = first + len(page), 0, []
                page.append(body)
                size += len(body)
        if page:
            yield first, page

    @override
    async def add_chat(self, outline: Outline, contents: AsyncIterator[Content]) -> bool:
        # One transaction for the whole chat, and one chat at a time.
        async with self._adding:
            return await self._add_chat(outline, contents)

    async def _add_chat(self, outline: Outline, contents: AsyncIterator[Content]) -> bool:
        with self._file.transaction() as connection:
            if _is_taken(connection, outline):
                return False
            seen = self._seen.stamp()
            chat = _insert_chat(connection, outline, seen)
            keys = {m.run.id: _insert_run(connection, chat, m, seen) for m in outline.runs}
            there = dict.fromkeys(keys, 1)
            messages = 0
            async for content in contents:
                if isinstance(content, Bodies):
                    some = outline.messages[content.first :]
                    _insert_messages(connection, chat, some, content.bodies)
                    messages += len(content.bodies)
                else:
                    _insert_records(connection, keys[content.run_id], content)
                    there[content.run_id] += len(content.records)
            whole = messages == len(outline.messages) and all(
                there[moved.run.id] == moved.next_seq for moved in outline.runs if moved.has_log
            )
            if not whole:
                raise CursorLost
        return True

    @override
    async def secret(self) -> bytes | None:
        with self._file.translated_errors():
            row = self._file.connection.execute(
                "SELECT value FROM meta WHERE name = 'secret'"
            ).fetchone()
        return None if row is None else bytes(row[0])

    @override
    async def set_secret(self, secret: bytes) -> None:
        with self._file.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('secret', ?)", (secret,))

    @override
    async def sign_outs(self) -> Sequence[tuple[str, int]]:
        with self._file.translated_errors():
            return self._file.connection.execute(
                "SELECT owner, not_before FROM signed_out"
            ).fetchall()

    @override
    async def add_sign_out(self, owner: str, not_before: int) -> None:
        await self._store.visitors.sign_out(owner, not_before, forget=0)

    @override
    async def close(self) -> None:
        await self._store.close()


def _is_taken(connection: sqlite3.Connection, outline: Outline) -> bool:
    name = ChatName.of(outline.chat)
    if connection.execute("SELECT 1 FROM chat WHERE owner = ? AND id = ?", name).fetchone():
        return True
    return any(
        connection.execute("SELECT 1 FROM run WHERE id = ?", (moved.run.id,)).fetchone()
        for moved in outline.runs
    )


def _insert_chat(connection: sqlite3.Connection, outline: Outline, seen: int) -> int:
    chat = outline.chat
    cursor = connection.execute(
        "INSERT INTO chat (id, owner, title, created_at, updated_at, head, seen_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            chat.id,
            chat.owner,
            chat.title,
            chat.created_at,
            chat.updated_at,
            chat.head,
            seen - outline.age,
        ),
    )
    return cursor.lastrowid or 0


def _insert_messages(
    connection: sqlite3.Connection, chat: int, messages: Sequence[Message], bodies: Sequence[bytes]
) -> None:
    connection.executemany(
        "INSERT INTO message (chat, id, parent, role, body, created_at, run)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (chat, m.id, m.parent, m.role, body, m.created_at, m.run_id)
            for m, body in zip(messages, bodies, strict=False)
        ],
    )


def _insert_run(connection: sqlite3.Connection, chat: int, moved: MovedRun, seen: int) -> int:
    run = moved.run
    seen_at = None if run.ended_at is None else seen - moved.age
    cursor = connection.execute(
        "INSERT INTO run (id, chat, dedup, content, prompt, answer, model, status, epoch, token,"
        " takeovers, spans, next_seq, created_at, started_at, ended_at, has_log, seen_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (run.id, chat, run.key, moved.content, run.prompt_id, run.message_id, run.model,
         run.status, run.epoch.number, run.epoch.token, run.takeovers, spans_to_blob(run.spans),
         moved.next_seq, run.created_at, run.started_at, run.ended_at, int(moved.has_log),
         seen_at),
    )  # fmt: skip
    return cursor.lastrowid or 0


def _insert_records(connection: sqlite3.Connection, run: int, content: Records) -> None:
    """Write records as segments of the usual size."""
    first, size = content.first, 0
    segment: list[bytes] = []
    rows: list[tuple[int, int, int, bytes]] = []
    for record in content.records:
        segment.append(record)
        size += len(record)
        if size > SEGMENT_BYTES:
            rows.append((run, first, len(segment), b"\n".join(segment)))
            first, size, segment = first + len(segment), 0, []
    if segment:
        rows.append((run, first, len(segment), b"\n".join(segment)))
    connection.executemany(
        "INSERT INTO segment (run, first, count, data) VALUES (?, ?, ?, ?)", rows
    )
