"""Processes: on which core they run, and what they use."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

START_SECONDS: Final = 30.0

_TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[set[int], set[int]]:
    """The core of the measured server, and those of all other processes.

    The same ones where there is only one: then the load takes part of what is measured.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[0]}, set(allowed[1:]) or {allowed[0]}


def raise_file_limit() -> int:
    """Allow as many open files as the system lets this process have. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Usage(NamedTuple):
    """What a process has used so far.

    Attributes:
        at: seconds, by the monotonic clock.
        cpu: seconds of all its threads.
        core: seconds that its core was busy, with any process.
        written: bytes sent to the disk, and all bytes written to anything.
    """

    at: float
    cpu: float
    core: float
    written: tuple[int, int]

    def since(self, before: Usage) -> Usage:
        """The difference."""
        disk, anything = self.written
        return Usage(
            self.at - before.at,
            self.cpu - before.cpu,
            self.core - before.core,
            (disk - before.written[0], anything - before.written[1]),
        )


def usage(pid: int, core: int) -> Usage:
    """What a process has used, and how busy a core was."""
    return Usage(time.monotonic(), cpu_seconds(pid), _core_seconds(core), _written(pid))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, all threads."""
    return time.clock_gettime((~pid << 3) | 2)  # Linux: the CPU clock of another process


def _core_seconds(core: int) -> float:
    with Path("/proc/stat").open() as lines:
        for line in lines:
            name, *values = line.split()
            if name == f"cpu{core}":
                idle = int(values[3]) + int(values[4])
                return (sum(map(int, values[:8])) - idle) / _TICKS
    return 0.0


def _written(pid: int) -> tuple[int, int]:
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"]), int(fields["wchar"])


def memory_bytes(pid: int) -> int:
    """The memory that a process has to itself, and its share of what it has in common."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("The kernel does not tell the memory of a process.")


class Checkout(NamedTuple):
    """A working copy of this project, with its own environment.

    Attributes:
        folder: where `bench` and `src` are.
        python: the interpreter in which it is installed.
    """

    folder: Path
    python: str

    @classmethod
    def at(cls, folder: Path) -> Checkout:
        """A working copy in which `scripts/bootstrap bench` was run.

        Raises:
            SystemExit: it was not.
        """
        python = folder.absolute() / ".venv" / "bin" / "python"
        if not python.exists() or not (folder / "bench" / "server.py").exists():
            raise SystemExit(
                f"{folder} is not a working copy with an environment. Make one:\n"
                f"  git worktree add {folder} COMMIT && cd {folder} && scripts/bootstrap bench "
                "&& .venv/bin/python hatch_build.py"
            )
        return cls(folder.absolute(), str(python))


HERE: Final = Checkout(Path(__file__).parents[1], sys.executable)


class Running(NamedTuple):
    """A started process."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def store(self) -> Path:
        """The file of a server's store."""
        return self.folder / "chats.db"


@contextmanager
def server(
    kind: str,
    settings: Mapping[str, str] | None = None,
    *,
    module: str = "bench.server",
    checkout: Checkout = HERE,
) -> Iterator[Running]:
    """One of the servers of a module, alone on its core, with an empty store."""
    with tempfile.TemporaryDirectory(prefix="dls-bench-") as name:
        folder, port = Path(name), free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not is_setting(name)},
            "DLS_STORE": f"sqlite:///{folder / 'chats.db'}",
            "DLS_PORT": str(port),
            "DLS_MAX_RUNS": "100000",
            "DLS_LOG_LEVEL": "warning",
            **(settings or {}),
        }
        arguments = [module, kind]
        with _started(arguments, environment, cores()[0], port, folder, checkout) as running:
            yield running


@contextmanager
def token_server(rate: float) -> Iterator[str]:
    """A provider. Gives its base URL."""
    with tempfile.TemporaryDirectory(prefix="dls-bench-") as name:
        port = free_port()
        arguments = ["bench.token_server", str(port), str(rate)]
        with _started(arguments, dict(os.environ), cores()[1], port, Path(name)):
            yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _started(
    arguments: list[str],
    environment: Mapping[str, str],
    on: set[int],
    port: int,
    folder: Path,
    checkout: Checkout = HERE,
) -> Iterator[Running]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [checkout.python, "-m", *arguments],
            cwd=checkout.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        os.sched_setaffinity(process.pid, on)
        wait_until_listening(process, port, log)
        yield Running(process, port, folder)
        said = log.read_text(errors="replace")
        if said.strip():
            print(f"{' '.join(arguments)} said:\n{said[-2000:]}", file=sys.stderr)
    finally:
        process.kill()
        process.wait()


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-4000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_setting(name: str) -> bool:
    return name.startswith(("DLS_", "OPENAI_", "OPENROUTER_")) or name in ("PORT", "REDIS_URL")
