"""The Redis servers that other tests rely on: they do as they say, and leave nothing behind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.redis_servers import (
    RedisServer,
    keys_without_ttl,
    redis_server,
    require_redis,
)

__all__ = ["redis_server"]

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


async def test_keys_that_would_stay_for_ever_are_found(redis_server: RedisServer) -> None:
    await redis_server.command("FLUSHALL")
    await redis_server.command("SET", "{d*}:a", "x")
    await redis_server.command("RPUSH", "{d*}:b", "x")
    await redis_server.command("SET", "{d*}:c", "x", "EX", 60)
    await redis_server.command("SET", "{dd}:a", "x")
    assert await keys_without_ttl(redis_server.url, "{d*}") == ["{d*}:a", "{d*}:b"]
    assert await keys_without_ttl(redis_server.url, "none") == []


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


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_script_says_what_is_missing_where_there_is_nothing(machine: Machine) -> None:
    said = machine.run()
    assert said.startswith("redis: There is no Redis server on PATH. Install it.")
    assert "DLS_REDIS_SERVER" in said
    assert said.count("\n") == 1
    machine.put("apt-get")
    machine.put("id", "echo 1000")
    assert "As root: apt-get install redis-server." in machine.run()
    assert machine.calls == ["id -u"]


@pytest.mark.parametrize("program", ["redis-server", "valkey-server", None])
def test_the_script_does_nothing_where_there_is_a_server(
    machine: Machine, program: str | None
) -> None:
    machine.put("apt-get")
    if program is not None:
        machine.put(program)
    assert machine.run({} if program else {"DLS_REDIS_SERVER": "/opt/redis-server"}) == ""
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
