"""Real server processes for tests: started, killed and started again on one port and one store."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp

START_SECONDS = 60.0
END_SECONDS = 15.0


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """`dls serve` in a process of its own.

    Args:
        folder: where the store and the log of the process are.
        settings: environment variables; the demo at full speed unless they say otherwise.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = folder / "chats.db"
        self.log = folder / "server.log"
        self._process: asyncio.subprocess.Process | None = None
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

    async def start(self) -> Self:
        """Start it and wait until it takes work."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "durable_llm_streams",
                "serve",
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
            while True:
                if self._process.returncode is not None:
                    raise AssertionError(f"The server ended at once:\n{self.log.read_text()}")
                try:
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return self
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and nothing is done."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if no time had passed."""
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL, frozen or not, and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM. Returns the exit status; a process that does not end is an error."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(END_SECONDS):
            return await self._process.wait()


def _is_setting(name: str) -> bool:
    return name.startswith(("DLS_", "OPENAI_", "OPENROUTER_")) or name in ("PORT", "REDIS_URL")


@asynccontextmanager
async def serving(
    folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[ServerProcess, None]:
    """A started server that is gone at the end, whatever happened to it meanwhile."""
    server = ServerProcess(folder, settings)
    try:
        yield await server.start()
    finally:
        await server.kill()
