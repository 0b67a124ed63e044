"""Server processes that are shut down and restarted, one after the other."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from ..processes import START_SECONDS, free_port, is_setting
from .source import models

#: More than a server may take to end, and less than for ever.
END_SECONDS: Final = 60.0

_FINISHING: Final = re.compile(r"Finishing (\d+) answers")
_HANDING_OVER: Final = re.compile(r"Handing over (\d+) answers")


class Restart(NamedTuple):
    """What one restart came to.

    Attributes:
        finished, handed_over: what became of the answers that the server was writing.
        ending, starting: seconds, from the signal to the end and from there to taking work.
    """

    finished: int
    handed_over: int
    ending: float
    starting: float


class RollingServer:
    """`dls serve` with the bench's model, on one port.

    Args:
        folder: for its log.
        rate: of the model, in tokens a second.
        tokens: the sizes of answers that it offers.
        settings: environment variables.
    """

    def __init__(
        self, folder: Path, rate: float, tokens: Iterable[int], settings: Mapping[str, str]
    ) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / f"log-{port}"
        self._command = ["-m", "bench.rolling.server", str(rate), *models(tokens)]
        inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
        self._environment = {**inherited, "DLS_PORT": str(port), **settings}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it takes work."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        async with aiohttp.ClientSession() as http:
            while time.monotonic() < until and self._process.returncode is None:
                try:
                    async with http.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)
        raise SystemExit(f"A server did not start:\n{self.said[-4000:]}")

    async def restart(self) -> Restart:
        """SIGTERM, wait for the end, start again.

        Raises:
            SystemExit: it did not end, or not in order.
        """
        begun = time.monotonic()
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(END_SECONDS):
            status = await self._process.wait()
        ended = time.monotonic()
        said = self.said
        if status or "Traceback" in said:
            raise SystemExit(f"A server ended with status {status}:\n{said[-4000:]}")
        await self.start()
        handed_over = _number(_HANDING_OVER, said)
        finished = max(0, _number(_FINISHING, said) - handed_over)
        return Restart(finished, handed_over, ended - begun, time.monotonic() - ended)

    async def kill(self) -> None:
        """Kill the process, whatever it is doing."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @property
    def said(self) -> str:
        """Its log since it was started."""
        return self._log.read_text(errors="replace")


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0
