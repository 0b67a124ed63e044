"""A server behind a proxy that is started again whenever it has died."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import aiohttp

from tests.crash.trace import Trace
from tests.crash.zygote import Zygote
from tests.processes import Process, ServerProcess
from tests.redis_servers.ports import unused_port
from tests.tcp_proxy import TcpProxy

#: One start of so many is of a fresh interpreter, the others are forked.
FRESH = 20

#: A server has shut down after so many seconds.
END_SECONDS = 60.0

_POLL_SECONDS = 0.05
_NOT_STARTED = 2  # the status of `dls serve` that cannot start, for want of its store


class CrashServer(ServerProcess):
    """One server of the campaign."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Mapping[str, str],
        zygote: Zygote,
        trace: Trace,
        store_was_away: Callable[[float], bool],
    ) -> None:
        super().__init__(folder, settings, port=unused_port())
        self.name = name
        self.proxy = TcpProxy(self.port)
        self.is_ready = self.frozen = False
        self.wrong: list[str] = []
        self._zygote = zygote
        self._trace = trace
        self._store_was_away = store_was_away
        self._starts = 0
        self._began = 0.0
        self._due: set[int] = set()  # the signals that it was sent
        self._must_end: asyncio.TimerHandle | None = None
        self._over = False

    async def keep(self) -> None:
        """Start it, and again whenever it has died, until `finish`."""
        try:
            async with aiohttp.ClientSession() as session:
                while not self._over:
                    await self._live(session)
        finally:
            self.send(signal.SIGKILL)  # where the campaign has broken off

    async def _live(self, session: aiohttp.ClientSession) -> None:
        self._starts += 1
        self.is_ready = self.frozen = False
        self._due.clear()
        self._began = self._trace.now
        await self.launch()
        assert self._process is not None
        self._trace.note(f"{self.name} starts as process {self.pid}", "starts")
        if self._over:
            self.send(signal.SIGTERM)
        waking = asyncio.create_task(self._wait_until_ready(session), name=f"{self.name} wakes")
        try:
            status = await self._process.wait()
        finally:
            waking.cancel()
            await asyncio.wait([waking])
        if self._must_end is not None:
            self._must_end.cancel()
            self._must_end = None
        self._trace.note(f"{self.name} is gone, with status {status}")
        self._look_at(status)

    async def _wait_until_ready(self, session: aiohttp.ClientSession) -> None:
        while not self.is_ready:
            with contextlib.suppress(ConnectionError, TimeoutError):
                self.is_ready = await self.ready(session)
            await asyncio.sleep(_POLL_SECONDS)
        self._trace.note(f"{self.name} is ready")

    def _look_at(self, status: int) -> None:
        """See that it has ended of what was done to it."""
        if status == -signal.SIGKILL:
            fine = signal.SIGKILL in self._due
        elif status == -signal.SIGTERM:
            fine = signal.SIGTERM in self._due and not self.is_ready
        elif (
            status == _NOT_STARTED
        ):  # for a server that was frozen the store has not answered in time
            frozen = signal.SIGSTOP in self._due
            fine = not self.is_ready and (frozen or self._store_was_away(self._began))
        else:
            fine = status == 0 and signal.SIGTERM in self._due
        if not fine:
            sent = sorted(signal.Signals(number).name for number in self._due)
            age = self._trace.now - self._began
            state = "ready" if self.is_ready else "not ready"
            last = "\n".join(self.log.read_text(errors="replace").splitlines()[-6:])
            self.wrong.append(
                f"{self.name} ended with status {status}, {state}, {age:.1f} s after its start; "
                f"it was sent {sent}; its last words:\n{last}"
            )

    def send(self, number: int) -> bool:
        """Send a signal. Returns whether there was a process to take it."""
        if not self.running:
            return False
        self._due.add(number)
        self._signal(number)
        self._trace.note(f"{signal.Signals(number).name} to {self.name}")
        if number == signal.SIGTERM and self._must_end is None:
            loop = asyncio.get_running_loop()
            self._must_end = loop.call_later(END_SECONDS, self._does_not_end)
        return True

    def _does_not_end(self) -> None:
        self.wrong.append(f"{self.name} has not ended {END_SECONDS:g} s after SIGTERM")
        self.send(signal.SIGKILL)

    @property
    def ending(self) -> bool:
        return signal.SIGTERM in self._due

    def finish(self) -> None:
        """End it now, and do not start it again."""
        self._over = True
        self.send(signal.SIGTERM)

    async def _spawn(self, log: BinaryIO) -> Process:
        fresh = self._starts % FRESH == 0
        self._trace.counts["starts of a fresh interpreter"] += fresh
        return await self._zygote.fork(self.environment, self.log, fresh=fresh)
