"""A real server whose clock is set by libfaketime (`scripts/faketime`)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.app import Guest
from tests.node import missing
from tests.processes import ServerProcess, serving
from tests.waiting import until

pytestmark = pytest.mark.promise("bounded")

#: libfaketime sets every clock of a process unless it is asked not to; then timers are due.
ONLY_WALL_CLOCK = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture
def faked(tmp_path: Path) -> dict[str, str]:
    """Settings of a process with libfaketime. Without it: skips, or fails in CI."""
    named = os.environ.get("DLS_FAKETIME")
    debians = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    found = [Path(named)] if named else debians
    if not found or not found[0].exists():
        missing("libfaketime is needed: apt-get install faketime, or set DLS_FAKETIME to it")
    clock = {"FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"), "FAKETIME_NO_CACHE": "1"}
    return {"LD_PRELOAD": str(found[0]), **clock}


@asynccontextmanager
async def visited(
    folder: Path, settings: Mapping[str, str], offset: str
) -> AsyncIterator[tuple[ServerProcess, Guest]]:
    """A server whose clock is set, and a visitor."""
    set_clock(folder, offset)
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        serving(folder, settings) as server,
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        yield server, Guest(server.url, session)


def set_clock(folder: Path, offset: str) -> None:
    (folder / "clock").write_text(f"{offset}\n")


async def logs(server: ServerProcess, text: str) -> None:
    await until(server.log.read_text, lambda log: text in log, f"{text!r} in the log")


async def chats(guest: Guest) -> list[str]:
    return sorted(chat["id"] for chat in (await guest.get("/api/chats")).json["chats"])


@pytest.mark.parametrize("more", [ONLY_WALL_CLOCK, {}], ids=["wall clock", "monotonic as well"])
async def test_a_clock_that_is_a_year_ahead_for_a_while_deletes_no_chat(
    tmp_path: Path, faked: dict[str, str], more: dict[str, str]
) -> None:
    async with visited(tmp_path, {**faked, **more}, "+0") as (server, guest):
        assert (await guest.send(chat="c1")).end == "finish"
        set_clock(tmp_path, "+400d")
        await logs(server, "The clock jumped from")
        assert await chats(guest) == ["c1"]
        set_clock(tmp_path, "+0")
        assert await chats(guest) == ["c1"]


async def test_chats_of_a_boot_in_1970_are_there_when_the_clock_is_right(
    tmp_path: Path, faked: dict[str, str]
) -> None:
    async with visited(tmp_path, {**faked, **ONLY_WALL_CLOCK}, "-20000d") as (server, guest):
        assert (await guest.send(chat="early")).end == "finish"
        set_clock(tmp_path, "+0")
        await logs(server, "The clock jumped from 197")
        assert await chats(guest) == ["early"]
        await server.kill()
        await server.start()
        assert (await guest.send(chat="late")).end == "finish"
        assert await chats(guest) == ["early", "late"]
