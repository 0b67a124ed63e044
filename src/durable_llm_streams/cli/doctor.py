"""`dls doctor`: errors, dangers and notes about the store, the provider and who can reach them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from rich.console import Console
from rich.text import Text

from durable_llm_streams.errors import StoreError
from durable_llm_streams.stores import SQLiteView, is_sqlite, open_store, sqlite_path
from durable_llm_streams.stores.finding import Finding, Level

from .doctor_provider import DEMO, examine_provider
from .public import examine_public
from .settings import Settings, load
from .terminal import sanitized

_MARKS: dict[Level, tuple[str, str]] = {
    "fatal": ("✗", "bold red"),
    "danger": ("!", "bold yellow"),
    "note": ("·", "dim"),
}
#: Bytes; with less, a disk is called nearly full.
LITTLE_SPACE = 256 * 1024 * 1024
_MEBIBYTE = 1024 * 1024


async def doctor(console: Console, *, asks: bool = True) -> bool:
    """Check the store and the model provider that the environment names.

    Args:
        console: where a line for each finding goes.
        asks: whether the provider is asked a short question, which may cost a little.

    Returns:
        Whether nothing is wrong or dangerous.

    Raises:
        InvalidSetting: the settings name no store.
    """
    settings = load()
    address = settings.store_address()
    if is_sqlite(address):
        findings = await _sqlite(settings, sqlite_path(address))
    else:
        findings = await _redis(address)
    levels = _report(console, findings)
    if "fatal" in levels:
        _print(console, "✗", "bold red", "The server cannot start with this store.")
    elif "danger" in levels:
        _print(console, "!", "bold yellow", "The server starts, but answers may be lost.")
    else:
        _print(console, "✓", "bold green", "The store is fit for serving.")
    levels |= _public(console, settings)
    if asks:
        levels |= await _provider(console, settings)
    return not levels & {"fatal", "danger"}


def _public(console: Console, settings: Settings) -> set[Level]:
    """The findings about a server that others can reach."""
    levels = _report(console, examine_public(settings))
    if "fatal" in levels:
        _print(console, "✗", "bold red", "The server does not start where others can reach it.")
    elif "danger" in levels:
        _print(console, "!", "bold yellow", "The server starts, but others could misuse it.")
    return levels


async def _provider(console: Console, settings: Settings) -> set[Level]:
    findings = await examine_provider(settings)
    levels = _report(console, findings)
    if "fatal" in levels:
        _print(console, "✗", "bold red", "No answer comes from this model provider.")
    elif findings != [DEMO]:
        _print(console, "✓", "bold green", "The model provider answers.")
    return levels


def _report(console: Console, findings: Collection[Finding]) -> set[Level]:
    for finding in findings:
        mark, style = _MARKS[finding.level]
        _print(console, mark, style, finding.text)
    return {finding.level for finding in findings}


def _print(console: Console, mark: str, style: str, text: str) -> None:
    """One line, however long: it may hold a command to copy."""
    console.print(Text.assemble((mark, style), " ", sanitized(text)), soft_wrap=True)


async def _redis(address: str) -> list[Finding]:
    open_store(address)  # does not connect yet, but raises for an invalid address
    from durable_llm_streams.stores.redis.client.address import RedisAddress
    from durable_llm_streams.stores.redis.client.database import Database
    from durable_llm_streams.stores.redis.doctor.checks import examine

    database = Database(RedisAddress.parse(address))
    try:
        return await examine(database)
    except StoreError as error:
        return [Finding("fatal", str(error))]
    finally:
        await database.close()


async def _sqlite(settings: Settings, path: Path) -> list[Finding]:
    unmade = _unmade(path)
    if unmade:
        return unmade
    try:
        await SQLiteView(path).close()
    except StoreError as error:
        return [Finding("fatal", str(error))]
    return _made(settings, path)


def _unmade(path: Path) -> list[Finding]:
    """The findings if the file does not exist: the server will create it, and its folder."""
    if path.exists():
        return []
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return [
            Finding("fatal", f"{path} cannot be made. Make {folder} a folder that can be written.")
        ]
    note = Finding("note", f"{path} is not there yet; the server makes it when it first starts.")
    return [*_disk(folder), note]


def _made(settings: Settings, path: Path) -> list[Finding]:
    """The findings about an existing store."""
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return [Finding("fatal", f"{path} cannot be written. Make it and its folder writable.")]
    size = sum(file.stat().st_size for file in (path, _wal(path)) if file.exists())
    note = Finding("note", f"{path} can be read and written; it has {_mebibytes(size)}.")
    return [*_disk(path.parent), note, _synced(settings)]


def _disk(folder: Path) -> list[Finding]:
    free = shutil.disk_usage(folder).free
    if free >= LITTLE_SPACE:
        return []
    return [Finding("danger", f"The disk of {folder} is nearly full: {_mebibytes(free)} are free.")]


def _synced(settings: Settings) -> Finding:
    if settings.sqlite_synchronous == "FULL":
        return Finding("note", "A power failure loses nothing (synchronous FULL).")
    return Finding(
        "note",
        "A power failure may lose the last moments, the death of the process nothing "
        "(synchronous NORMAL). DLS_SQLITE_SYNCHRONOUS=FULL loses nothing, and is slower.",
    )


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _mebibytes(size: int) -> str:
    return f"{size / _MEBIBYTE:.1f} MiB"
