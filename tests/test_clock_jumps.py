"""A real server whose clock is set by libfaketime (`scripts/faketime`)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.app import Guest
from tests.node import missing
from tests.processes import ServerProcess
from tests.waiting import until


@pytest.fixture
def library() -> Path:
    """The library. Skips the test, or fails it in CI, where there is none."""
    named = os.environ.get("DLS_FAKETIME")
    debians = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    found = [Path(named)] if named else debians
    if not found or not found[0].exists():
        missing("libfaketime is needed: apt-get install faketime, or set DLS_FAKETIME to it")
    return found[0]


class Machine:
    """A machine whose clock can be set, and a server on it.

    Args:
        folder: for the store.
        library: libfaketime.
        settings: more of libfaketime's.
    """

    def __init__(self, folder: Path, library: Path, settings: dict[str, str]) -> None:
        self._clock = folder / "clock"
        self.server = ServerProcess(
            folder,
            {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_NO_CACHE": "1",
                **settings,
            },
        )

    def set_clock(self, offset: str) -> None:
        self._clock.write_text(f"{offset}\n")

    async def restart(self) -> None:
        await self.server.kill()
        await self.server.start()

    async def logs(self, text: str) -> None:
        """Wait for a line in the log."""
        await until(self.server.log.read_text, lambda log: text in log, f"{text!r} in the log")


@asynccontextmanager
async def serving(
    folder: Path, library: Path, offset: str, **settings: str
) -> AsyncIterator[Machine]:
    machine = Machine(folder, library, settings)
    machine.set_clock(offset)
    await machine.server.start()
    try:
        yield machine
    finally:
        await machine.server.kill()


async def chats(guest: Guest) -> list[str]:
    listed = (await guest.get("/api/chats")).json
    return sorted(chat["id"] for chat in listed["chats"])


@pytest.mark.promise("bounded")
@pytest.mark.parametrize("monotonic", ["right", "set as well"])
async def test_a_clock_that_is_a_year_ahead_for_a_while_deletes_no_chat(
    tmp_path: Path, library: Path, monotonic: str
) -> None:
    """libfaketime sets every clock of a process unless it is asked not to; then timers are due."""
    only_wall = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"} if monotonic == "right" else {}
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        serving(tmp_path, library, "+0", **only_wall) as machine,
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        guest = Guest(machine.server.url, session)
        assert (await guest.send(chat="c1")).end == "finish"
        machine.set_clock("+400d")
        await machine.logs("The clock jumped from")
        assert await chats(guest) == ["c1"]
        machine.set_clock("+0")
        assert await chats(guest) == ["c1"]


@pytest.mark.promise("bounded")
async def test_chats_of_a_boot_in_1970_are_there_when_the_clock_when_the_clock_is_right(
    tmp_path: Path, library: Path
) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    only_wall = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    async with (
        serving(tmp_path, library, "-20000d", **only_wall) as machine,
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        guest = Guest(machine.server.url, session)
        assert (await guest.send(chat="early")).end == "finish"
        machine.set_clock("+0")
        await machine.logs("The clock jumped from 197")
        assert await chats(guest) == ["early"]
        await machine.restart()
        assert (await guest.send(chat="late")).end == "finish"
        assert await chats(guest) == ["early", "late"]
