"""Chats and their history in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import structs
from typing_extensions import override

from durable_llm_streams.chunks import Lines
from durable_llm_streams.errors import InvalidPageToken, RunNotFound
from durable_llm_streams.model import Chat, Message
from durable_llm_streams.store import ChatPage, ChatStore, Snapshot

from .active_runs import ActiveRuns
from .eraser import Eraser
from .feed import SQLiteFeed
from .file import DatabaseFile
from .messages import newest_below, path
from .pages import Pages
from .rows import CHAT_COLUMNS, ChatRow, chat_from_row, find_chat

_WHOLE_LOG = 1 << 62


class SQLiteChats(ChatStore):
    """Chats over the file.

    Args:
        file: the serving connection.
        active: the runs that have not ended.
        pages: reads the log of a chat's active run.
        feed: where changes are published.
        eraser: erases what is deleted or replaced.
    """

    def __init__(
        self,
        file: DatabaseFile,
        active: ActiveRuns,
        pages: Pages,
        feed: SQLiteFeed,
        eraser: Eraser,
    ) -> None:
        self._file = file
        self._active = active
        self._pages = pages
        self._feed = feed
        self._eraser = eraser

    @override
    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        connection = self._file.connection
        with self._file.translated_errors():
            key, chat = self._chat(owner, chat_id)
            versions = connection.execute(
                "SELECT id, parent, role FROM message WHERE chat = ? ORDER BY key", (key,)
            ).fetchall()
            end = chat.head if leaf is None else newest_below(versions, leaf)
            messages = path(connection, key, end) if end else []
            if chat.active_run is None:
                return Snapshot(chat, messages, versions, None, None)
            active = self._active.of_chat(key)[0]
            log = self._pages.page(active.run.id, 0, _WHOLE_LOG)
            while log.last + 1 < log.next_seq:
                more = self._pages.page(active.run.id, log.last, _WHOLE_LOG)
                log = structs.replace(log, records=Lines.of(log.records, more.records))
            return Snapshot(chat, messages, versions, active.run, log)

    @override
    async def thread(self, run_id: str) -> Sequence[Message]:
        connection = self._file.connection
        with self._file.translated_errors():
            row = connection.execute(
                "SELECT chat, prompt FROM run WHERE id = ?", (run_id,)
            ).fetchone()
            if row is None:
                raise RunNotFound
            return path(connection, row[0], row[1])

    @override
    async def page(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
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

    @override
    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        with self._file.transaction() as connection:
            key, _ = self._chat(owner, chat_id)
            connection.execute("UPDATE chat SET title = ? WHERE key = ?", (title, key))
            _, chat = self._chat(owner, chat_id)
        self._eraser.request()
        self._feed.publish("chat-renamed", chat)
        return chat

    @override
    async def delete(self, owner: str, chat_id: str) -> None:
        with self._file.transaction() as connection:
            key, chat = self._chat(owner, chat_id)
            connection.execute("DELETE FROM chat WHERE key = ?", (key,))
        for active in self._active.of_chat(key):
            self._active.remove(active)
        self._eraser.request()
        self._feed.publish("chat-deleted", chat)

    def _chat(self, owner: str, chat_id: str) -> tuple[int, Chat]:
        row = find_chat(self._file.connection, owner, chat_id)
        return row[0], self._chat_from_row(row)

    def _chat_from_row(self, row: ChatRow) -> Chat:
        return chat_from_row(row, self._active.first_of(row[0]))


def _read_token(more: str | None) -> tuple[int, int]:
    if more is None:
        return 1 << 62, 0
    match = re.fullmatch(r"(\d{1,15})-(\d{1,15})", more, re.ASCII)
    if match is None:
        raise InvalidPageToken
    return int(match[1]), int(match[2])
