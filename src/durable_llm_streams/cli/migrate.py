"""`dls migrate`: copies one store to another, mostly a file to Redis."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.migrate import Migration, Outcome, Phase, opened

from .settings import load
from .terminal import sanitized

_AGAIN = "Start the same command again: it goes on where it was."
_PHASES: dict[Phase, str] = {"copy": "Copying chats", "compare": "Comparing"}


def migrate(console: Console, source: str, target: str) -> int:
    """Copy all chats, then compare both ends.

    Args:
        console: where the result goes; the progress goes to standard error.
        source: the address of a store that exists.
        target: the address of another store; it is created if it does not exist.

    Returns:
        The exit status: 0 if all of the source is in the target, 1 if some chats are not, 130 if
        it was interrupted.

    Raises:
        DurableError: the migration failed; the sentence says what to change.
    """
    try:
        outcome = asyncio.run(_migrate(source, target))
    except KeyboardInterrupt:
        typer.echo(f"dls: Interrupted. {_AGAIN}", err=True)
        return 130
    except StoreUnavailable as error:
        reason = str(error).removesuffix("; it is tried again.").removesuffix(".")
        raise StoreUnavailable(f"{reason}. {_AGAIN}") from error
    _report(console, outcome)
    return 1 if outcome.conflicts else 0


async def _migrate(source: str, target: str) -> Outcome:
    settings = load()
    retention, synchronous = settings.retention(), settings.sqlite_synchronous
    async with opened(source, target, retention, synchronous) as (reading, writing):
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        tasks: dict[Phase, TaskID] = {}

        def watch(phase: Phase, done: int, total: int) -> None:
            progress.start()  # not before there is something to see
            if phase not in tasks:
                tasks[phase] = progress.add_task(_PHASES[phase], total=total)
            progress.update(tasks[phase], completed=done, total=total)

        try:
            migration = Migration(reading, writing, watch, log_age=settings.retention_log)
            return await migration.run()
        finally:
            if tasks:
                progress.stop()


def _report(console: Console, outcome: Outcome) -> None:
    for (owner, chat_id), reason in outcome.conflicts:
        _print(console, f"Not copied, or not the same: chat {chat_id} of {owner} {reason}.")
    _print(console, f"{outcome.copied} chats copied, {outcome.found} were there already.")
    if outcome.conflicts:
        count = len(outcome.conflicts)
        _print(
            console,
            f"{outcome.compared} chats are the same at both ends, {count} are not (see above). "
            "They were left as they are in the target: delete or move them there, and start again.",
        )
    else:
        _print(console, f"All {outcome.compared} chats are the same at both ends.")
    if not outcome.cookies:
        _print(
            console,
            "The target held chats before, so it keeps its own visitors' cookies. Visitors of the "
            "source are not recognized there. Users who sign in are not affected.",
        )


def _print(console: Console, text: str) -> None:
    console.print(sanitized(text), markup=False, highlight=False, soft_wrap=True)
