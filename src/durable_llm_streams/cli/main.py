"""The `dls` command."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from durable_llm_streams._version import __version__
from durable_llm_streams.errors import DurableError

# Each command imports what it needs: `dls --help` should not load a web server.

#: The question of `dls capture`: its answer is short, but long enough to show the streaming.
QUESTION = "Count from one to five, in words."

app = typer.Typer(
    name="dls",
    help="LLM answers that survive a reload, a dropped network, a killed server and a deploy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _console() -> Console:
    """Standard output. Lines for another program are not cut to a screen's width."""
    return Console(width=None if sys.stdout.isatty() else 1000)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dls {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Durable LLM streams. Begin with `dls serve`, then `dls chat` in another terminal."""


@app.command("serve")
def serve_command() -> None:
    """Start the server. It is set up by environment variables: see `dls settings`."""
    from .serve import serve

    serve()


@app.command("chat")
def chat_command(
    url: Annotated[
        str, typer.Option(help="The server's address.", envvar="DLS_URL")
    ] = "http://127.0.0.1:8000",
    chat: Annotated[str | None, typer.Option(help="The id of a chat to go on with.")] = None,
    model: Annotated[str | None, typer.Option(help="One of the models offered.")] = None,
) -> None:
    """Chat in the terminal. The answer goes on when the connection or the server comes back."""
    from .chat import chat as terminal_chat

    raise typer.Exit(asyncio.run(terminal_chat(url, chat_id=chat, model=model)))


@app.command("runs")
def runs_command(
    active: Annotated[bool, typer.Option("--active", help="Only those not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The most runs to list.")] = 20,
) -> None:
    """List the runs in the store (DLS_STORE), newest first. The server may be running."""
    from . import inspection

    asyncio.run(inspection.runs(_console(), active=active, limit=limit))


@app.command("tail")
def tail_command(
    run: Annotated[str, typer.Argument(help="A run's id, or a cursor to go on from.")],
    text: Annotated[bool, typer.Option("--text", help="Only the answer's text.")] = False,
) -> None:
    """Follow a run's log to its end. The server may be running."""
    from . import inspection

    asyncio.run(inspection.tail(_console(), run, text=text))


@app.command("doctor")
def doctor_command() -> None:
    """Report errors and dangers of the store (DLS_STORE). The server may be running."""
    from .doctor import doctor

    if not asyncio.run(doctor(_console())):
        raise typer.Exit(1)


@app.command("capture")
def capture_command(
    path: Annotated[Path, typer.Argument(help="The file to write, such as odd-answer.toml.")],
    question: Annotated[str, typer.Argument(help="What to ask.")] = QUESTION,
) -> None:
    """Ask the model provider that is set one question and write its raw answer to a file.

    The key, cookies and secret headers are taken out. See docs/providers.md.
    """
    from .capture import capture

    capture(_console(), path, question)


@app.command("migrate")
def migrate_command(
    source: Annotated[str, typer.Argument(help="The store to copy, such as sqlite:///PATH.")],
    target: Annotated[str, typer.Argument(help="Where to, such as redis://HOST:6379/0.")],
) -> None:
    """Copy all chats from one store to another, then compare both. No server may be running.

    Interrupted or killed, it goes on where it was when it is started again.
    """
    from .migrate import migrate

    raise typer.Exit(migrate(_console(), source, target))


@app.command("settings")
def settings_command() -> None:
    """List the settings (environment variables) with their defaults."""
    from . import inspection

    inspection.settings(_console())


def main() -> None:
    """Run the command. An expected error is printed as one line."""
    try:
        app()
    except DurableError as error:
        typer.echo(f"dls: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
