"""Real server processes for tests: started, killed and started again on one port and one store."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import aiohttp

from tests.children import tied
from tests.redis_servers.ports import unused_port
from tests.waiting import within

START_SECONDS = 90.0
END_SECONDS = 60.0


class Process(Protocol):
    """What is needed of a process, of whatever parent."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signal: int) -> None: ...

    async def wait(self) -> int: ...


class ServerProcess:
    """`dls serve` in a process of its own.

    Args:
        folder: where the store and the log of the process are.
        settings: environment variables; the demo at full speed unless they say otherwise.
        port: where it listens; any that is free unless it is said.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> None:
        self.port = unused_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = folder / "chats.db"
        self.log = folder / "server.log"
        self._process: Process | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not _is_setting(name)},
            "DLS_STORE": f"sqlite:///{self.store}",
            "DLS_PORT": str(self.port),
            "DLS_DEMO_TOKENS_PER_SECOND": "200",
            **(settings or {}),
        }

    @property
    def running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    async def launch(self) -> None:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as log:
            self._process = await self._spawn(log)

    async def start(self) -> Self:
        """Start it and wait until it takes work."""
        await self.launch()
        what = f"the server at {self.url} to be ready"
        async with (
            within(what, self.log.read_text, seconds=START_SECONDS),
            aiohttp.ClientSession() as session,
        ):
            while not await self.ready(session):
                if not self.running:
                    raise AssertionError(f"The server ended at once:\n{self.log.read_text()}")
                await asyncio.sleep(0.05)
        return self

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """Whether it takes work."""
        try:
            async with session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def _spawn(self, log: BinaryIO) -> Process:
        return await asyncio.create_subprocess_exec(
            *tied([sys.executable, "-m", "durable_llm_streams", "serve"]),
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and nothing is done."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it continues as if no time had passed."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL, frozen or not, and wait until it is gone."""
        if self.running:
            await self._signal(signal.SIGKILL).wait()

    async def terminate(self) -> int:
        """SIGTERM. Returns the exit status; a process that does not end is an error."""
        process = self._signal(signal.SIGTERM)
        what = f"the server at {self.url} to end"
        async with within(what, self.log.read_text, seconds=END_SECONDS):
            return await process.wait()

    def _signal(self, number: int) -> Process:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process


def _is_setting(name: str) -> bool:
    return name.startswith(("DLS_", "OPENAI_", "OPENROUTER_")) or name in ("PORT", "REDIS_URL")


@asynccontextmanager
async def serving(
    folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[ServerProcess, None]:
    """A started server that is removed at the end, in any state."""
    server = ServerProcess(folder, settings)
    try:
        yield await server.start()
    finally:
        await server.kill()
