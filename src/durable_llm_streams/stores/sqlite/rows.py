"""Runs and records as rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from durable_llm_streams.chunks import Lines, decode, encode
from durable_llm_streams.errors import ChatNotFound, RunNotFound
from durable_llm_streams.model import Chat, Epoch, Run, Span, Status

CHAT_COLUMNS = "key, id, owner, title, created_at, updated_at, head"
RUN_COLUMNS = (
    "run.id, (SELECT owner FROM chat WHERE chat.key = run.chat),"
    " (SELECT id FROM chat WHERE chat.key = run.chat), prompt, answer, model, status,"
    " run.created_at, dedup, epoch, token, takeovers, spans, started_at, ended_at"
)


ChatRow = tuple[int, str, str, str, int, int, str | None]


def chat_row(connection: sqlite3.Connection, key: int) -> ChatRow:
    """The row of a chat that exists."""
    statement = f"SELECT {CHAT_COLUMNS} FROM chat WHERE key = ?"
    row: ChatRow = connection.execute(statement, (key,)).fetchone()
    return row


def chat_from_row(row: ChatRow, active_run: str | None) -> Chat:
    """A chat from a row of CHAT_COLUMNS."""
    _, id_, owner, title, created, updated, head = row
    return Chat(
        id=id_, owner=owner, title=title, created_at=created, updated_at=updated,
        head=head, active_run=active_run,
    )  # fmt: skip


def run_from_row(row: Sequence[object]) -> Run:
    """A run from a row of RUN_COLUMNS."""
    (id_, owner, chat, prompt, answer, model, status, created, dedup,
     epoch, token, takeovers, spans, started, ended) = row  # fmt: skip
    return Run(
        id=str(id_), owner=str(owner), chat_id=str(chat), prompt_id=str(prompt),
        message_id=str(answer), model=str(model), status=Status(str(status)),
        created_at=_int(created), key=None if dedup is None else str(dedup),
        epoch=Epoch(_int(epoch), str(token)),
        takeovers=_int(takeovers), spans=_spans(spans),
        started_at=None if started is None else _int(started),
        ended_at=None if ended is None else _int(ended),
    )  # fmt: skip


def find_chat(connection: sqlite3.Connection, owner: str, chat_id: str) -> ChatRow:
    """The row of an owner's chat. Raises ChatNotFound."""
    statement = f"SELECT {CHAT_COLUMNS} FROM chat WHERE owner = ? AND id = ?"
    row: ChatRow | None = connection.execute(statement, (owner, chat_id)).fetchone()
    if row is None:
        raise ChatNotFound
    return row


def newest_runs(connection: sqlite3.Connection, *, active: bool, limit: int) -> list[Run]:
    """The newest runs of all chats, as `RunList.newest` returns them."""
    condition = "WHERE status IN ('queued', 'running')" if active else ""
    rows = connection.execute(
        f"SELECT {RUN_COLUMNS} FROM run {condition} ORDER BY key DESC LIMIT ?", (limit,)
    )
    return [run_from_row(row) for row in rows]


def find_run(connection: sqlite3.Connection, run_id: str) -> Run:
    """A run's row. Raises RunNotFound."""
    statement = f"SELECT {RUN_COLUMNS} FROM run WHERE id = ?"
    row = connection.execute(statement, (run_id,)).fetchone()
    if row is None:
        raise RunNotFound
    return run_from_row(row)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _spans(value: object) -> tuple[Span, ...]:
    assert isinstance(value, bytes)
    return tuple(Span(first, Epoch(number, token)) for first, number, token in decode(value))


def spans_to_blob(spans: Iterable[Span]) -> bytes:
    """Spans as the file stores them."""
    return encode([(span.first, span.epoch.number, span.epoch.token) for span in spans])


def read_segments(
    connection: sqlite3.Connection, run_key: int, after: int, max_bytes: int
) -> Sequence[bytes]:
    """Records from `after` + 1 on that are in segments, up to about `max_bytes`."""
    parts: list[tuple[bytes, int]] = []
    size = 0
    rows = connection.execute(
        "SELECT first, count, data FROM segment WHERE run = ? AND first >= ifnull("
        " (SELECT max(first) FROM segment WHERE run = ? AND first <= ?), 0) ORDER BY first",
        (run_key, run_key, after + 1),
    )
    for first, count, data in rows:
        if parts and size + len(data) > max_bytes:
            break
        if first <= after:
            lines = data.split(b"\n")[after + 1 - first :]
            if not lines:
                continue
            data, count = b"\n".join(lines), len(lines)
        parts.append((data, count))
        size += len(data)
    records = Lines(parts)
    return records if size <= max_bytes else within(records, max_bytes)


def within(records: Sequence[bytes], max_bytes: int) -> Sequence[bytes]:
    """The first records that together have at most `max_bytes`, at least one."""
    size = 0
    for index, record in enumerate(records):
        size += len(record)
        if size > max_bytes and index:
            return records[:index]
    return records


def insert_segment(
    connection: sqlite3.Connection, run_key: int, first: int, records: Sequence[bytes]
) -> None:
    """Write a run's records from the number `first` on as a segment, unless there are none."""
    if records:
        connection.execute(
            "INSERT INTO segment (run, first, count, data) VALUES (?, ?, ?, ?)",
            (run_key, first, len(records), b"\n".join(records)),
        )


def update_run(
    connection: sqlite3.Connection, run: Run, next_seq: int, seen_at: int | None = None
) -> None:
    """Write the columns of a run that change.

    Args:
        connection: in a transaction.
        run: as it is now.
        next_seq: the sequence number of its next record.
        seen_at: the store's time at the run's end; None while it has not ended.
    """
    connection.execute(
        "UPDATE run SET status = ?, epoch = ?, token = ?, takeovers = ?, spans = ?, next_seq = ?,"
        " started_at = ?, ended_at = ?, seen_at = ? WHERE id = ?",
        (run.status, run.epoch.number, run.epoch.token, run.takeovers, spans_to_blob(run.spans),
         next_seq, run.started_at, run.ended_at, seen_at, run.id),
    )  # fmt: skip
