"""What deploy/ ships, as it stands: nginx in front of real servers on a real Redis, the rest."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from durable_llm_streams.cli import serve
from durable_llm_streams.cli.settings import Settings, names
from durable_llm_streams.model import Status
from durable_llm_streams.server import ServerConfig
from durable_llm_streams.server.streams import HEARTBEAT_SECONDS
from tests.app import MODELS, Guest, read_rest
from tests.fake_provider import answer
from tests.http.servers import ALL, STALLS, WHOLE, Place, place, read_said, whole
from tests.nginx import CONFIGURATION, Nginx
from tests.node import missing
from tests.processes import ServerProcess, serving
from tests.redis_servers.ports import unused_port
from tests.waiting import SECONDS, until, within

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
UNIT = DEPLOY / "durable-llm-streams@.service"
PROCFILE = dict(line.split(": ", 1) for line in (DEPLOY / "Procfile").read_text().splitlines())


@dataclass
class Deployment(Place):
    """Two servers on one Redis behind nginx; the third one in nginx's list is never there."""

    nginx: Nginx

    @asynccontextmanager
    async def visitor(self) -> AsyncGenerator[Guest, None]:
        """A visitor; the id of their chat is free again afterwards."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            guest = Guest(self.nginx.url, session)
            yield guest
            await guest.call("DELETE", "/api/chats/c1")


@asynccontextmanager
async def deployed(
    folder: Path, *, tls: bool = False, grace: float = 0.0
) -> AsyncGenerator[Deployment, None]:
    settings = {"DLS_LEASE": "1", "DLS_GRACE": str(grace)}
    async with place(folder, settings, servers=2) as here:
        ports = [server.port for server in here.servers]
        async with Nginx(folder, ports, tls=tls) as nginx:
            yield Deployment(here.provider, here.servers, here.http, nginx)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """For tests that end no server."""
    async with deployed(tmp_path_factory.mktemp("shared")) as deployment:
        yield deployment


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Deployment]:
    """For tests that end servers."""
    async with deployed(tmp_path) as deployment:
        yield deployment


@pytest.mark.asyncio(loop_scope="module")
async def test_every_event_passes_the_proxy_before_the_next_one_is_made(shared: Deployment) -> None:
    shared.provider.plan(STALLS)
    async with shared.visitor() as guest, await guest.start() as stream:
        reading = await read_said(stream)  # or it would never have come: the model is silent
        assert reading.end == ""
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert "Content-Encoding" not in stream.headers
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        assert (await guest.call("POST", "/api/chat/c1/stop")).status == 200
        assert (await read_rest(stream)).end == "abort"


@pytest.mark.promise("takeover")
async def test_after_the_end_of_a_server_the_other_one_continues(own: Deployment) -> None:
    own.provider.plan(STALLS, WHOLE)
    async with own.visitor() as guest, await guest.start() as stream:
        first = await read_said(stream)
        await (await own.writer()).kill()
        with pytest.raises(aiohttp.ClientPayloadError):  # not an end that looks like one
            await read_rest(stream)
        rest = await guest.get("/api/chat/c1/stream", headers={"Last-Event-ID": first.ids[-1]})
        assert (rest.end, whole(first, rest)) == ("finish", answer(ALL))
        for _ in range(6):  # whomever nginx asks first
            assert (await guest.get("/api/chats")).status == 200
        own.provider.plan(WHOLE)
        assert (await guest.send("And?", chat="c2")).text == answer(ALL)


@pytest.mark.promise("hand-over")
async def test_while_a_server_finishes_its_answers_no_client_sees_an_error(tmp_path: Path) -> None:
    async with deployed(tmp_path, grace=600.0) as deployment, deployment.visitor() as guest:
        deployment.provider.plan(STALLS)
        async with await guest.start() as stream:
            await read_said(stream)
            ending = await deployment.writer()
            await guest.get("/api/chats")  # nginx keeps connections to both servers
            stopped = asyncio.create_task(ending.terminate())
            await until(lambda: ending.ready(guest.session), lambda ready: not ready)
            for number in range(8):  # whomever nginx asks first
                deployment.provider.plan(WHOLE)
                reading = await guest.send("And?", chat=f"other-{number}")
                assert (reading.status, reading.text) == (200, answer(ALL))
                assert (await guest.get("/api/chats")).status == 200
                async with await guest.open("GET", "/api/chat/c1/stream") as resumed:
                    await read_said(resumed)
            assert not stopped.done()
            assert (await guest.call("POST", "/api/chat/c1/stop")).status == 200
            assert (await read_rest(stream)).end == "abort"
        assert await stopped == 0


@pytest.mark.promise("idempotent-send")
async def test_a_message_that_a_dying_server_took_makes_one_answer(own: Deployment) -> None:
    own.provider.plan(STALLS, WHOLE)
    async with own.visitor() as guest, await guest.start() as stream:
        await read_said(stream)
        busy = await own.writer()
        (idle,) = (server for server in own.servers if server is not busy)
        os.kill(idle.pid, signal.SIGSTOP)  # nginx sends to it, as it has fewer streams
        asking = asyncio.create_task(guest.send("And?", chat="c2"))
        await until_unread(idle.port)
        await idle.kill()
        reading = await asking
        assert (reading.status, reading.text) == (200, answer(ALL))
        assert await guest.said("c2") == [("user", "And?"), ("assistant", answer(ALL))]
        assert len(own.provider.requests) == 2
        for server in own.servers:
            await server.kill()
        for path in ("/api/chats", "/api/events", "/"):
            reading = await guest.get(path)
            assert (reading.status, reading.headers["Retry-After"]) == (503, "2")
            assert reading.headers["Content-Type"] == "application/problem+json"
            assert reading.json["status"] == 503


async def until_unread(port: int) -> None:
    """Until a server has bytes in front of it that it does not read (Linux)."""

    def unread() -> list[str]:
        found = []
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, queues, *_ = line.split()
            size = int(queues.partition(":")[2], 16)
            if int(local.partition(":")[2], 16) == port and state == "01" and size:
                found.append(line)
        return found

    await until(unread, what=f"bytes that the server at port {port} has not read")


@pytest.mark.promise("owned")
@pytest.mark.asyncio(loop_scope="module")
async def test_a_cookie_passes_both_ways_and_keeps_chats_apart(shared: Deployment) -> None:
    shared.provider.plan(WHOLE)
    async with shared.visitor() as guest, shared.visitor() as stranger:
        answered = await guest.send()
        cookie = answered.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "Secure" not in cookie
        for _ in range(4):  # on both servers
            assert (await guest.chat())["id"] == "c1"
            assert (await stranger.get("/api/chats/c1")).status == 404


async def test_with_tls_browsers_get_http_2_and_secure_cookies(tmp_path: Path) -> None:
    async with deployed(tmp_path, tls=True) as deployment:
        nginx = deployment.nginx
        trust = ssl.create_default_context(cafile=str(nginx.ca))
        async with aiohttp.request("GET", f"{nginx.tls_url}/api/chats", ssl=trust) as response:
            assert response.status == 200
            assert "Secure" in response.headers["Set-Cookie"]
        trust.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("127.0.0.1", nginx.tls_port, ssl=trust)
        try:
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        finally:
            writer.transport.abort()  # messages of HTTP/2 itself are not read here


def seconds(pattern: str, text: str) -> set[int]:
    found = re.findall(pattern, text, re.MULTILINE)
    assert found, pattern
    return {int(number) for number in found}


def test_a_planned_end_gets_the_time_that_it_may_need() -> None:
    closing = 2  # the store's own connections
    limits = Settings.model_construct().limits()
    steps = 5 * limits.shutdown_seconds  # of `Worker.close`, jobs twice
    needed = limits.grace + steps + serve._CONNECTIONS_SECONDS + closing
    server, _, services = COMPOSE.partition("\nservices:")
    assert min(seconds(r"stop_grace_period: (\d+)s", server)) >= needed
    assert min(seconds(r"TimeoutStopSec=(\d+)", UNIT.read_text())) >= needed
    assert "*server" in services
    told = (DEPLOY.parent / "docs" / "deployment.md").read_text()
    assert min(seconds(r"in (\d+) seconds\s+at the most", told)) >= needed


def test_nginx_and_the_servers_agree_on_times_and_sizes() -> None:
    text = CONFIGURATION.read_text()
    assert max(seconds(r"^        keepalive_timeout (\d+)s", text)) < serve.KEEP_ALIVE_SECONDS
    assert min(seconds(r"(?:read|send)_timeout (\d+)s", text)) >= 4 * HEARTBEAT_SECONDS
    largest = ServerConfig(models=MODELS).max_body_bytes
    assert min(seconds(r"client_max_body_size (\d+)m", text)) * 1024 * 1024 > largest


async def test_the_health_checks_know_a_living_server_from_a_dead_one(tmp_path: Path) -> None:
    checks = re.findall(r"^HEALTHCHECK .*\n\s+CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    lives = json.loads(checks[0])
    ready = re.findall(r"- python\n\s+- -c\n\s+- (import .*readyz.*)\n", COMPOSE)[0]
    async with serving(tmp_path) as server:
        commands = [lives[2], ready.replace(":8000", f":{server.port}")]

        async def statuses() -> list[int]:
            environment = {"PORT": str(server.port)}
            running = [
                await asyncio.create_subprocess_exec(
                    sys.executable, "-c", command, env=environment, stderr=subprocess.DEVNULL
                )
                for command in commands
            ]
            async with within("the end of the health checks"):
                return [await process.wait() for process in running]

        assert await statuses() == [0, 0]
        await server.kill()
        assert await statuses() == [1, 1]


def test_every_variable_that_is_set_is_a_setting() -> None:
    known = {name for field in Settings.model_fields for name in names(field)}
    for text in (COMPOSE, DOCKERFILE, UNIT.read_text(), (DEPLOY / "Procfile").read_text()):
        assert set(re.findall(r"\bDLS_[A-Z_]+", text)) <= known


def test_the_servers_of_nginx_are_those_that_compose_starts() -> None:
    started = re.findall(r"^  (server-\d): \*server$", COMPOSE, re.MULTILINE)
    known = re.findall(r"^\s+server (server-\d):8000 ", CONFIGURATION.read_text(), re.MULTILINE)
    assert started == known
    assert len(known) == 3


def test_the_unit_starts_the_server_again_and_gives_it_time_to_end(tmp_path: Path) -> None:
    """What can be read off it; and systemd's own word, on a machine that has systemd."""
    text = UNIT.read_text()
    lines = text.splitlines()
    for line in ("Restart=always", "Environment=DLS_PORT=%i", "StartLimitIntervalSec=0"):
        assert line in lines
    assert any(line.startswith("ExecStart=/") and line.endswith("/dls serve") for line in lines)
    program = shutil.which("systemd-analyze")
    if program is not None:
        unit = tmp_path / UNIT.name
        unit.write_text(text.replace("/opt/durable-llm-streams/bin/dls", sys.executable))
        checked = subprocess.run(
            [program, "verify", "--man=no", unit], capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_the_procfile_starts_redis_and_two_servers_that_share_it(tmp_path: Path) -> None:
    graceless = [name for name, line in PROCFILE.items() if "DLS_GRACE=${DLS_GRACE:-0}" in line]
    assert graceless == ["server1", "server2"]  # all end together, Redis too
    for program in ("redis-server", "redis-cli"):
        if shutil.which(program) is None:
            missing(f"{program} is needed: apt-get install redis-server")
    servers = [ServerProcess(tmp_path, port=unused_port()) for _ in range(2)]
    ports = {"REDIS_PORT": unused_port(), "PORT1": servers[0].port, "PORT2": servers[1].port}
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DLS_", "OPENAI_"))}
    environment |= {name: str(port) for name, port in ports.items()}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (tmp_path / "log").open("wb") as log:
            for line in reversed(PROCFILE.values()):  # the servers wait for Redis
                command = ["sh", "-c", line]
                process = subprocess.Popen(
                    command, cwd=tmp_path, env=environment, stdout=log, stderr=log
                )
                processes.append(process)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            for server in servers:
                async with within(f"a server at {server.url}", (tmp_path / "log").read_text):
                    await until(partial(server.ready, session), seconds=2 * SECONDS)
            first, second = (Guest(server.url, session) for server in servers)
            assert (await first.send()).end == "finish"
            assert (await second.chat())["messages"][1]["metadata"]["status"] == Status.FINISHED
        assert (tmp_path / "data/redis/appendonlydir").is_dir()
    finally:
        for process in processes:
            process.terminate()
        statuses = [process.wait(SECONDS) for process in processes]
    assert statuses == [0, 0, 0]


@pytest.mark.parametrize("strips", [False, True], ids=["handed on", "stripped"])
async def test_nginx_serves_it_as_a_part_of_a_site(tmp_path: Path, strips: bool) -> None:
    settings = {"DLS_BASE_PATH": "/chat", "DLS_DEMO_TOKENS_PER_SECOND": "0"}
    async with (
        serving(tmp_path, settings) as server,
        Nginx(tmp_path, [server.port], path="/chat", strips=strips) as nginx,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        guest = Guest(f"{nginx.url}/chat", session)
        page = await guest.get("")  # it leads to /chat/
        assert (page.status, "; Path=/chat;" in page.headers["Set-Cookie"]) == (200, True)
        sent = await guest.send("Hello")
        follow = {"Last-Event-ID": sent.ids[0]}
        assert (await guest.get("/api/chat/c1/stream", headers=follow)).end == "finish"
        assert (await Guest(nginx.url, session).get("/api/chats")).status == 404
