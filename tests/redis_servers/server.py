"""One real Redis server for a test, started and stopped by it.

1. The program is the machine's: the one that `DLS_REDIS_SERVER` names, else the first of `PROGRAMS`
   on PATH (scripts/redis has the same list, and installs one where it may). Where there is none,
   tests are skipped with the reason; with `CI=true` they fail.
2. It listens on loopback or on a socket in its folder, and nothing is on that was not asked for: no
   persistence, no password, no limit of memory. Its data and its log are in its folder.
3. Its configuration is written once, when the object is made. A server that is killed and started
   again has its port, its data, and what it has itself written into its configuration meanwhile.
4. Nothing belongs to an event loop: a server that one loop has started can be used from another.
5. A wait is bounded, and its failure shows the server's log.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import trustme
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from tests.children import tied
from tests.node import missing
from tests.redis_servers.lifetime import Lifetime
from tests.redis_servers.ports import unused_port
from tests.waiting import within

PROGRAMS = ("redis-server", "valkey-server")

#: The longest wait for an answer of a server.
SECONDS = 60.0

#: What the kernel allows for the path of a socket.
LONGEST_SOCKET_PATH = 100

#: What a server never does here unless a later line says so.
DEFAULTS = (
    "bind 127.0.0.1",
    "protected-mode no",
    "daemonize no",
    'save ""',
    "appendonly no",
    "databases 16",
    "loglevel notice",
    "shutdown-timeout 0",
)


def find_redis() -> str | None:
    """The server's program, if there is one."""
    named = os.environ.get("DLS_REDIS_SERVER")
    candidates = [named] if named else PROGRAMS
    return next((found for name in candidates if (found := shutil.which(name))), None)


def require_redis() -> str:
    """The server's program. Skips the test, or fails it in CI, where there is none."""
    program = find_redis()
    if program is None and os.environ.get("DLS_REDIS_SERVER"):
        missing(f"DLS_REDIS_SERVER names no program: {os.environ['DLS_REDIS_SERVER']!r}")
    if program is None:
        missing("Redis is needed: apt-get install redis-server, or set DLS_REDIS_SERVER to it")
    return program


class RedisServer(Lifetime):
    """A server of a test's own. As an async context manager it is running, and gone at the end.

    Args:
        folder: where the server gets a folder of its own, named after its port.
        appendfsync: writes an append-only file, synced `always` or `everysec`; without it nothing
            is kept when the server ends.
        maxmemory: the limit of its memory, such as `8mb`. Beyond it writes are refused
            (`noeviction`) unless `config` says otherwise.
        password: of the user `default`.
        acl: users, each as `ACL SETUSER` takes it: `app on >secret ~* &* +@all`.
        tls: takes TLS only, with a certificate of a CA whose certificate is the file `ca`.
        unix_socket: listens on the socket `socket`, and on no port.
        config: more lines of redis.conf; they win over everything before.
        sentinel: it is a Sentinel; `config` says of what.

    Attributes:
        folder: of this server: configuration, data, log.
        port: it keeps it when it is started again; 0 with `unix_socket`.
        socket: the socket's path, with `unix_socket`.
        ca: the file with the CA's certificate, with `tls`.
        url: the address of database 0, with the password, as `redis`, `rediss` or `unix`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        appendfsync: str | None = None,
        maxmemory: str | None = None,
        password: str | None = None,
        acl: Sequence[str] = (),
        tls: bool = False,
        unix_socket: bool = False,
        config: Sequence[str] = (),
        sentinel: bool = False,
    ) -> None:
        number = unused_port()
        self.port = 0 if unix_socket else number
        self.folder = folder / f"redis-{number}"
        self.socket = self.folder / "redis.sock" if unix_socket else None
        self.ca: Path | None = None
        self._password = password
        self._sentinel = sentinel
        self._program = require_redis()
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True)
        lines = [*DEFAULTS, f"dir {quoted(self.folder)}", f"port {0 if tls else self.port}"]
        if self.socket is not None:
            assert len(str(self.socket)) <= LONGEST_SOCKET_PATH, f"too long: {self.socket}"
            lines += [f"unixsocket {quoted(self.socket)}", "unixsocketperm 700"]
        if appendfsync is not None:
            lines += ["appendonly yes", f"appendfsync {appendfsync}"]
        if maxmemory is not None:
            lines += [f"maxmemory {maxmemory}", "maxmemory-policy noeviction"]
        if password is not None:
            lines.append(f"requirepass {quoted(password)}")
        if tls:
            lines += [f"tls-port {self.port}", *self._make_certificate()]
        lines += [f"user {user}" for user in acl]
        (self.folder / "redis.conf").write_text("".join(f"{line}\n" for line in (*lines, *config)))

    @property
    def url(self) -> str:
        return self._url("" if self._password is None else f":{quote(self._password, safe='')}@")

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All output of the server's processes."""
        return (self.folder / "redis.log").read_text(errors="replace")

    def client(self, **options: Any) -> Redis:
        """A client that never tries twice; close it, or use it as an async context manager.

        Args:
            options: what `Redis.from_url` takes, such as `username` and `password`.
        """
        options.setdefault("password", self._password)
        options.setdefault("socket_timeout", SECONDS)
        options.setdefault("retry", Retry(NoBackoff(), 0))
        if self.ca is not None:
            options.setdefault("ssl_ca_certs", str(self.ca))
        return Redis.from_url(self._url(), **options)

    async def command(self, *arguments: str | bytes | float) -> Any:
        """Ask one thing, on a connection of its own, as the user `default`.

        Raises:
            RedisError: the server's answer, or that it could not be asked.
        """
        async with self.client() as client:
            return await client.execute_command(*arguments)

    async def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            AssertionError: it has ended, or does not answer; the message has its log.
        """
        assert not self.running, "it is running"
        command = [self._program, str(self.folder / "redis.conf")]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                tied(command + ["--sentinel"] * self._sentinel),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            async with within("the Redis server to answer", lambda: self.log):
                while not await self._answers():
                    assert self.running, f"The Redis server ended at once:\n{self.log}"
                    await asyncio.sleep(0.01)
        except BaseException:
            await self.kill()
            raise
        return self

    async def stop(self) -> None:
        """SIGTERM, and wait until it is gone. A frozen one is thawed for that."""
        if self.running:
            self.thaw()
            os.kill(self.pid, signal.SIGTERM)
            await self._gone()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone. `start` begins with what was on the disk."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            await self._gone()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: what was sent meanwhile is answered."""
        os.kill(self.pid, signal.SIGCONT)

    async def close(self) -> None:
        """End it, in any state, and remove its folder."""
        await self.kill()
        shutil.rmtree(self.folder)

    def _url(self, password: str = "") -> str:
        if self.socket is not None:
            return f"unix://{password}{self.socket}?db=0"
        return f"redis{'s' if self.ca else ''}://{password}127.0.0.1:{self.port}/0"

    async def _answers(self) -> bool:
        try:
            await self.command("PING")
        except BusyLoadingError:
            return False
        except (AuthenticationError, NoPermissionError, ResponseError):
            return True  # it sets who may connect
        except (RedisError, OSError):
            return False
        return True

    async def _gone(self) -> None:
        async with within("the Redis server to end", lambda: self.log):
            while self.running:
                await asyncio.sleep(0.005)

    def _make_certificate(self) -> list[str]:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        self.ca, server = self.folder / "ca.pem", self.folder / "server.pem"
        authority.cert_pem.write_to_path(self.ca)
        certificate.private_key_and_cert_chain_pem.write_to_path(server)
        return [
            f"tls-cert-file {quoted(server)}",
            f"tls-key-file {quoted(server)}",
            f"tls-ca-cert-file {quoted(self.ca)}",
            "tls-auth-clients no",
        ]


def quoted(value: str | Path) -> str:
    """As redis.conf has it, with what is special in it."""
    return json.dumps(str(value), ensure_ascii=False)
