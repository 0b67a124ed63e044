"""`dls runs`, `dls tail`, `dls settings`: read a store while its server is running."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from durable_llm_streams.chunks import decode
from durable_llm_streams.clock import timestamp
from durable_llm_streams.log import follow
from durable_llm_streams.model import Cursor, token_at
from durable_llm_streams.stores import view

from .settings import Settings, load, names
from .terminal import sanitized

_WAIT_SECONDS = 3600.0


async def runs(console: Console, *, active: bool, limit: int) -> None:
    """List runs, newest first."""
    async with view(load().store_address()) as store:
        table = Table(box=None)
        for name in ("run", "status", "model", "attempts", "chat", "created"):
            table.add_column(name, overflow="fold", no_wrap=name == "run")
        for run in await store.runs.newest(active=active, limit=limit):
            created = timestamp(run.created_at)
            table.add_row(
                run.id, run.status, run.model, str(run.takeovers + 1), run.chat_id, created
            )
        console.print(table)


async def tail(console: Console, run: str, *, text: bool) -> None:
    """Follow a run's log to its end.

    Args:
        console: the output.
        run: a run's id, or a cursor to go on from.
        text: print the answer's text instead of the records.
    """
    async with view(load().store_address()) as store:
        place = Cursor.parse(run) if "." in run else Cursor.beginning(run)
        async for page in follow(store.log, place, wait=_WAIT_SECONDS):
            for seq, record in enumerate(page.records, page.first):
                if not text:
                    cursor = Cursor(place.run_id, seq, token_at(page.spans, seq))
                    console.out(f"{cursor} {record.decode()}", highlight=False)
                elif record.startswith(b'{"type":"text-delta"'):
                    console.out(sanitized(decode(record)["delta"]), end="", highlight=False)
        if text:
            console.out("")


def settings(console: Console) -> None:
    """List the settings with their defaults."""
    table = Table("variable", "default", "meaning", box=None)
    for field, info in Settings.model_fields.items():
        default = "" if info.default in (None, "", ()) else str(info.default)
        table.add_row(" or ".join(names(field)), default, info.description)
    console.print(table)
