"""The tree of messages of a chat."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_llm_streams.errors import MessageNotFound
from durable_llm_streams.model import Message

_COLUMNS = "id, parent, role, body, created_at, run"


def has_message(connection: sqlite3.Connection, chat: int, message_id: str) -> bool:
    """Whether a chat has a message with this id."""
    row = connection.execute(
        "SELECT 1 FROM message WHERE chat = ? AND id = ?", (chat, message_id)
    ).fetchone()
    return row is not None


def find_message(
    connection: sqlite3.Connection, chat: int, message_id: str
) -> tuple[str | None, str, str]:
    """(parent, role, id) of a message. Raises MessageNotFound."""
    row: tuple[str | None, str, str] | None = connection.execute(
        "SELECT parent, role, id FROM message WHERE chat = ? AND id = ?", (chat, message_id)
    ).fetchone()
    if row is None:
        raise MessageNotFound
    return row


def path(connection: sqlite3.Connection, chat: int, end: str) -> list[Message]:
    """The messages from the first one to `end`."""
    rows = connection.execute(
        f"WITH RECURSIVE path (depth, {_COLUMNS}) AS ("
        f" SELECT 0, {_COLUMNS} FROM message WHERE chat = ? AND id = ?"
        " UNION ALL SELECT depth + 1, m.id, m.parent, m.role, m.body, m.created_at, m.run"
        " FROM path JOIN message m ON m.chat = ? AND m.id = path.parent)"
        f" SELECT {_COLUMNS} FROM path ORDER BY depth DESC",
        (chat, end, chat),
    )
    return [
        Message(id=id_, parent=parent, role=role, body=body, created_at=created, run_id=run)
        for id_, parent, role, body, created, run in rows
    ]


def newest_below(versions: Sequence[tuple[str, str | None, str]], leaf: str) -> str:
    """The message that is reached from `leaf` by always going to the newest child.

    Args:
        versions: (id, parent, role) of all messages of the chat, oldest first.
        leaf: where to begin.

    Raises:
        MessageNotFound: no such message.
    """
    if all(id_ != leaf for id_, _, _ in versions):
        raise MessageNotFound
    newest = {parent: id_ for id_, parent, _ in versions}
    while leaf in newest:
        leaf = newest[leaf]
    return leaf
