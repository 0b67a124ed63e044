"""The Redis servers that other tests rely on: they do as they say, and leave nothing behind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
)
from redis.exceptions import ConnectionError as CannotConnect
from redis.exceptions import TimeoutError as NoAnswer

from tests.redis_servers import (
    ClusterSetup,
    RedisServer,
    SentinelSetup,
    find_redis,
    keys_without_ttl,
    redis_cluster,
    redis_server,
    require_redis,
)

__all__ = ["redis_cluster", "redis_server"]

SCRIPTS = Path(__file__).parents[1] / "scripts"
SHELL = shutil.which("sh") or "/bin/sh"


def servers_in(folder: Path) -> list[str]:
    """The processes that have a folder in their command line or as their working directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:  # gone meanwhile
            continue
        if place.startswith(f"{folder}/") or str(folder) in command:
            found.append(f"{process.name}: {command}")
    return found


async def test_a_plain_server_persists_nothing_and_asks_for_nothing(
    redis_server: RedisServer,
) -> None:
    assert await redis_server.command("PING")
    for name, value in (("appendonly", "no"), ("save", ""), ("maxmemory", "0")):
        async with redis_server.client(decode_responses=True) as client:
            assert await client.config_get(name) == {name: value}


async def test_an_append_only_file_that_is_always_synced_survives_a_kill(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, appendfsync="always") as server:
        url, first = server.url, server.pid
        await server.command("SET", "said", "yes")
        await server.kill()
        with pytest.raises(CannotConnect):
            await server.command("PING")
        await server.start()
        assert server.pid != first
        assert server.url == url
        assert await server.command("GET", "said") == b"yes"


async def test_without_it_a_server_begins_empty_again(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        await server.command("SET", "said", "yes")
        await server.stop()
        assert not server.running
        await server.start()
        assert await server.command("DBSIZE") == 0


async def test_a_frozen_server_answers_when_it_is_thawed(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        server.freeze()
        async with server.client(socket_timeout=0.2) as client:
            with pytest.raises(NoAnswer):
                await client.execute_command("PING")
        server.thaw()
        assert await server.command("PING")
        server.freeze()
        await server.stop()
        assert not server.running


async def test_a_server_that_is_full_refuses_writes(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, maxmemory="3mb") as server:
        with pytest.raises(OutOfMemoryError):
            for number in range(100):
                await server.command("SET", f"key{number}", b"x" * 100_000)


async def test_a_password_is_asked_for(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, password='a "b/c@d') as server:
        assert await server.command("PING")
        async with server.client(password="another") as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.execute_command("PING")


async def test_a_user_may_do_what_its_rules_say(tmp_path: Path) -> None:
    users = ["default off", "app on >secret ~dls:* &* +@all", "guest on >secret ~* -@all +get"]
    async with RedisServer(tmp_path, acl=users) as server:
        with pytest.raises(AuthenticationError):
            await server.command("PING")
        async with server.client(username="app", password="secret") as app:
            assert await app.execute_command("SET", "dls:1", "x")
            with pytest.raises(NoPermissionError):
                await app.execute_command("SET", "other", "x")
        async with server.client(username="guest", password="secret") as guest:
            assert await guest.execute_command("GET", "dls:1") == b"x"
            with pytest.raises(NoPermissionError):
                await guest.execute_command("SET", "dls:1", "y")


async def test_tls_needs_the_certificate_of_its_authority(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, tls=True, password="secret") as server:
        assert server.url.startswith("rediss://")
        assert await server.command("PING")
        async with server.client(ssl_ca_certs=None) as stranger:
            with pytest.raises(CannotConnect, match="certificate verify failed"):
                await stranger.execute_command("PING")
        async with Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as plain:
            with pytest.raises(CannotConnect):
                await plain.execute_command("PING")


async def test_a_unix_socket_is_the_only_way_in(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, unix_socket=True) as server:
        assert server.url == f"unix://{server.socket}?db=0"
        assert (await server.command("CONFIG GET", "port"))["port"] == "0"
        assert await server.command("PING")


async def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, config=["no-such-setting yes"])
    with pytest.raises(AssertionError, match="no-such-setting"):
        await server.start()
    assert servers_in(tmp_path) == []


async def test_a_server_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with RedisServer(tmp_path, appendfsync="everysec") as server:
            server.freeze()
            assert len(servers_in(tmp_path)) == 1
            raise KeyError("whatever happens in a test")
    assert servers_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_killed_master_is_replaced_by_its_replica(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path, password="a/b c") as setup:
        first = await setup.master()
        await first.command("SET", "said", "yes")
        assert await first.command("WAIT", 1, 10_000) == 1
        assert await setup.kill_master() is first
        second = await setup.failed_over(first)
        assert await setup.master() is second
        assert await second.command("GET", "said") == b"yes"
        assert await second.command("SET", "said", "again")
    assert servers_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_cluster_has_three_masters_that_share_all_slots(
    redis_cluster: ClusterSetup,
) -> None:
    shared: list[int] = []
    for server in redis_cluster.servers:
        spans = await server.command("CLUSTER SLOTS")
        assert all(len(nodes) == 1 for _, _, *nodes in spans)
        masters = {(node[0].decode(), node[1]): (first, last) for first, last, node in spans}
        assert sorted(masters) == sorted(redis_cluster.addresses)
        first, last = masters["127.0.0.1", server.port]
        shared += range(first, last + 1)
    assert shared == list(range(16384))


async def test_a_cluster_is_in_order_again_when_a_killed_master_is_back(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path, appendfsync="always") as cluster:
        killed = cluster.servers[1]
        await killed.command("SET", "{6}", "x")  # of the second third of the slots
        await killed.kill()
        await killed.start()
        await cluster.ready()
        assert await killed.command("GET", "{6}") == b"x"
    assert servers_in(tmp_path) == []


async def test_keys_that_would_stay_for_ever_are_found(redis_server: RedisServer) -> None:
    await redis_server.command("FLUSHALL")
    await redis_server.command("SET", "{d*}:a", "x")
    await redis_server.command("RPUSH", "{d*}:b", "x")
    await redis_server.command("SET", "{d*}:c", "x", "EX", 60)
    await redis_server.command("SET", "{dd}:a", "x")
    assert await keys_without_ttl(redis_server.url, "{d*}") == ["{d*}:a", "{d*}:b"]
    assert await keys_without_ttl(redis_server.url, "none") == []


def test_a_program_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my-redis"
    program.touch(mode=0o755)
    monkeypatch.setenv("DLS_REDIS_SERVER", str(program))
    assert find_redis() == str(program)
    monkeypatch.setenv("DLS_REDIS_SERVER", str(tmp_path / "missing"))
    assert find_redis() is None


@pytest.mark.parametrize("ci", ["true", ""])
def test_without_a_server_tests_are_skipped_but_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DLS_REDIS_SERVER", raising=False)
    outcome = pytest.fail.Exception if ci else pytest.skip.Exception
    with pytest.raises(outcome, match="apt-get install redis-server"):
        require_redis()


class Machine:
    """A machine of which `scripts/redis` sees only what is put on its PATH.

    Programs note how they were called in `calls`. The policy file, which says what services may
    start, is the machine's own.
    """

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.scripts = folder / "scripts"
        self.scripts.mkdir()
        self.policy = folder / "policy-rc.d"
        self._calls = folder / "calls"
        for name in ("redis", "debian"):
            text = (SCRIPTS / name).read_text()
            (self.scripts / name).write_text(
                text.replace("/usr/sbin/policy-rc.d", str(self.policy))
            )

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def put(self, name: str, body: str = "") -> None:
        """A program of that name."""
        program = self.programs / name
        program.write_text(f'#!{SHELL}\necho "{name} $*" >>{self._calls}\n{body}\n')
        program.chmod(0o755)

    def run(self, settings: Mapping[str, str] | None = None) -> str:
        """Run the script, which ends well. Returns what it says."""
        found = subprocess.run(
            [SHELL, self.scripts / "redis"],
            env={"PATH": str(self.programs), **(settings or {})},
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert found.stdout == ""
        return found.stderr


@pytest.mark.parametrize("password", [None, "a/b@c"])
def test_addresses_are_the_ones_that_the_store_understands(
    tmp_path: Path, password: str | None
) -> None:
    from durable_llm_streams.stores.redis.address import RedisAddress  # all else needs no store

    single = RedisServer(tmp_path, password=password)
    socket = RedisServer(tmp_path, password=password, unix_socket=True)
    sentinel = SentinelSetup(tmp_path, password=password)
    cluster = ClusterSetup(tmp_path, password=password)
    read = [RedisAddress.parse(setup.url) for setup in (single, socket, sentinel, cluster)]
    assert [address.mode for address in read] == ["single", "unix", "sentinel", "cluster"]
    assert [address.password for address in read] == [password] * 4
    assert read[0].nodes == (("127.0.0.1", single.port),)
    assert read[1].path == str(socket.socket)
    assert read[2].nodes == tuple(sentinel.addresses)
    assert read[2].service == sentinel.service
    assert read[3].nodes == tuple(cluster.addresses)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_script_says_what_is_missing_where_there_is_nothing(machine: Machine) -> None:
    said = machine.run()
    assert said.startswith("redis: There is no Redis server on PATH. Install it.")
    assert "DLS_REDIS_SERVER" in said
    assert said.count("\n") == 1


def test_the_script_tells_who_is_not_root_what_to_install(machine: Machine) -> None:
    machine.put("apt-get")
    machine.put("id", "echo 1000")
    assert "As root: apt-get install redis-server." in machine.run()
    assert machine.calls == ["id -u"]


@pytest.mark.parametrize("program", ["redis-server", "valkey-server"])
def test_the_script_does_nothing_where_there_is_a_server(machine: Machine, program: str) -> None:
    machine.put("apt-get")
    machine.put(program)
    assert machine.run() == ""
    assert machine.calls == []


def test_the_script_does_nothing_where_a_server_is_named(machine: Machine) -> None:
    machine.put("apt-get")
    assert machine.run({"DLS_REDIS_SERVER": "/opt/redis-server"}) == ""
    assert machine.calls == []


def installing(machine: Machine, outcome: str) -> None:
    """Let the machine be root's, with an apt-get that notes whether a service might start."""
    machine.put("id", "echo 0")
    machine.put("update-rc.d")
    machine.put(
        "apt-get", f'"{machine.policy}"; echo "services: $?" >>"{machine._calls}"; {outcome}'
    )
    for name in ("chmod", "rm"):
        found = shutil.which(name)
        assert found is not None
        (machine.programs / name).symlink_to(found)


def test_the_script_installs_as_root_and_no_service_is_started(machine: Machine) -> None:
    installing(machine, "exit 0")
    assert machine.run() == "Installing redis-server\n"
    assert machine.calls == [
        "id -u",
        "apt-get -qq update",
        "services: 101",
        "apt-get -qq install -y --no-install-recommends redis-server",
        "services: 101",
        "update-rc.d redis-server disable",
    ]
    assert not machine.policy.exists()


def test_the_script_leaves_a_machines_own_policy_as_it_is(machine: Machine) -> None:
    installing(machine, "exit 0")
    machine.policy.write_text(f"#!{SHELL}\nexit 104\n")
    machine.policy.chmod(0o755)
    machine.run()
    assert "services: 104" in machine.calls
    assert machine.policy.read_text() == f"#!{SHELL}\nexit 104\n"


def test_the_script_ends_well_where_apt_get_fails(machine: Machine) -> None:
    installing(machine, "exit 100")
    assert "apt-get could not install redis-server" in machine.run()
    assert not machine.policy.exists()
