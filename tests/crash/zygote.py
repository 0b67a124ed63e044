"""A process that has imported everything and forks servers: a start costs a tenth of a second.

Theory of operation
===================
1. `python -m tests.crash.zygote` reads orders from its standard input. It reports on its standard
   output, a line of JSON for each child that it has started or that has ended. It has one
   thread and no event loop, so that its children begin as a fresh interpreter does, but for the
   imports.
2. A child is what `dls serve` is: its own environment, its own session, output to its own log, and
   then `cli.main.main()`, to its end. It holds nothing of the zygote's. A fresh one becomes a
   new interpreter first.
3. A process id means the process until its end was reported: only the zygote sends signals, and
   only to a child for which it has not waited yet.
4. No child survives: a zygote whose input ends kills its children, and they die with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.children import die_with_parent, tied
from tests.waiting import within

#: What a server imports before it accepts connections.
MODULES = (
    "durable_llm_streams.cli.main",
    "durable_llm_streams.cli.serve",
    "durable_llm_streams.stores.redis",
    "durable_llm_streams.stores.sqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvloop",
)

_SERVE = ("-m", "durable_llm_streams", "serve")
_END_SECONDS = 10.0


class ForkedProcess:
    """A child of the zygote, as `asyncio.subprocess.Process` would show it."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._zygote = zygote
        self._gone = asyncio.Event()

    def send_signal(self, signal: int) -> None:
        """Send a signal; one that comes too late is lost."""
        self._zygote.order({"signal": signal, "pid": self.pid})

    async def wait(self) -> int:
        await self._gone.wait()
        assert self.returncode is not None
        return self.returncode

    def died(self, status: int) -> None:
        """The zygote has reported its end."""
        self.returncode = status
        self._gone.set()


class Zygote:
    """The zygote, as its owner sees it. Use it as an async context manager."""

    def __init__(self) -> None:
        self._starting: list[asyncio.Future[ForkedProcess]] = []
        self._children: dict[int, ForkedProcess] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *tied([sys.executable, "-m", "tests.crash.zygote"]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # an interrupt at the terminal is the campaign's to handle
        )
        self._listening = asyncio.create_task(self._listen(), name="zygote")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._listening

    @property
    def pid(self) -> int:
        return self._process.pid

    async def fork(
        self, environment: Mapping[str, str], log: Path, *, fresh: bool = False
    ) -> ForkedProcess:
        """Start a server."""
        started: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
        self._starting.append(started)
        self.order({"environment": dict(environment), "log": str(log), "fresh": fresh})
        async with within("the zygote to fork a server"):
            return await started

    def order(self, order: Mapping[str, Any]) -> None:
        """Send an order; a zygote that is gone has no children to signal."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            news = json.loads(line)
            if "status" in news:
                self._children.pop(news["pid"]).died(news["status"])
                continue
            child = self._children[news["pid"]] = ForkedProcess(self, news["pid"])
            started = self._starting.pop(0)
            if not started.done():
                started.set_result(child)
        for started in self._starting:
            started.cancel()
        for child in self._children.values():
            child.died(-signal.SIGKILL)


# --- the other side ---------------------------------------------------------------------------


class _Forker:
    """The zygote's own side: the children that live, the orders that came."""

    def __init__(self) -> None:
        self._living: set[int] = set()
        self._input = b""
        self._wakeup, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(self._wakeup, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def next_child(self) -> dict[str, str] | None:
        """Obey until the input ends. Returns in a child its environment, else None at the end."""
        while True:
            readable, _, _ = select.select([0, self._wakeup], [], [])
            if self._wakeup in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
                self._reap()
            if 0 not in readable:
                continue
            data = os.read(0, 65536)
            if not data:
                for pid in self._living:
                    os.kill(pid, signal.SIGKILL)
                return None
            *lines, self._input = (self._input + data).split(b"\n")
            for line in lines:
                environment = self._obey(json.loads(line))
                if environment is not None:
                    return environment

    def _obey(self, order: dict[str, Any]) -> dict[str, str] | None:
        if "signal" in order:
            if order["pid"] in self._living:
                os.kill(order["pid"], order["signal"])
            return None
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            raise RuntimeError("There is a thread, which a forked server would lack.")
        pid = os.fork()
        if pid == 0:
            self._let_go(order["log"])
            environment: dict[str, str] = order["environment"]
            if order["fresh"]:
                os.execve(sys.executable, [sys.executable, *_SERVE], environment)
            return environment
        self._living.add(pid)
        _report({"pid": pid})
        return None

    def _let_go(self, log: str) -> None:
        """Become a process of its own (in the child)."""
        die_with_parent()
        os.setsid()
        os.close(signal.set_wakeup_fd(-1))
        os.close(self._wakeup)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for opened, places in ((nothing, (0,)), (output, (1, 2))):
            for place in places:
                os.dup2(opened, place)
            os.close(opened)

    def _reap(self) -> None:
        for pid in list(self._living):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self._living.discard(pid)
                _report({"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _report(news: Mapping[str, int]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def main() -> None:
    """Be the zygote, and in a child the server."""
    for module in MODULES:
        importlib.import_module(module)
    environment = _Forker().next_child()
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
        sys.argv[:] = ["dls", "serve"]
        importlib.import_module("durable_llm_streams.cli.main").main()


if __name__ == "__main__":
    main()
