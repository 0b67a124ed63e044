"""Sign-outs and one-time links in the file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from typing_extensions import override

from durable_llm_streams.store import Link, VisitorStore

from .file import DatabaseFile
from .seen_time import SeenTime

_TABLES = resources.files(__package__).joinpath("visitors.sql").read_text("utf-8")


class SQLiteVisitors(VisitorStore):
    """The visitors on one file.

    Args:
        file: the serving connection.
        seen: the time that the store has seen pass.

    Raises:
        StoreUnavailable: the tables could not be made.
    """

    def __init__(self, file: DatabaseFile, seen: SeenTime) -> None:
        self._file = file
        self._seen = seen
        with file.transaction() as connection:
            for statement in _TABLES.split(";"):
                connection.execute(statement)

    @override
    async def now(self) -> int:
        return self._seen.stamp()

    @override
    async def sign_out(self, owner: str, not_before: int, *, forget: int) -> None:
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM signed_out WHERE not_before < ?", (forget,))
            connection.execute(
                "INSERT INTO signed_out VALUES (?, ?) ON CONFLICT (owner)"
                " DO UPDATE SET not_before = max(not_before, excluded.not_before)",
                (owner, not_before),
            )

    @override
    async def signed_out(self, owners: Sequence[str]) -> Sequence[int]:
        with self._file.translated_errors():
            connection = self._file.connection
            rows = [
                connection.execute(
                    "SELECT not_before FROM signed_out WHERE owner = ?", (owner,)
                ).fetchone()
                for owner in owners
            ]
        return [row[0] if row else 0 for row in rows]

    @override
    async def keep_link(self, digest: str, link: Link, *, seconds: float) -> None:
        with self._file.transaction() as connection:
            old = link.made_at - round(seconds * 1000)
            connection.execute("DELETE FROM link WHERE made_at < ?", (old,))
            connection.execute(
                "INSERT OR REPLACE INTO link (owner, digest, made_at) VALUES (?, ?, ?)",
                (link.owner, digest, link.made_at),
            )

    @override
    async def take_link(self, digest: str) -> Link | None:
        with self._file.transaction() as connection:
            row = connection.execute(
                "DELETE FROM link WHERE digest = ? RETURNING owner, made_at", (digest,)
            ).fetchone()
        return None if row is None else Link(*row)
