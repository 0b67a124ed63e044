"""Where the Redis servers of other tests come from, and that they leave nothing behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer, keys_without_ttl, redis_server, require_redis

__all__ = ["redis_server"]

SCRIPTS = Path(__file__).parents[1] / "scripts"
SHELL = shutil.which("sh") or "/bin/sh"
INSTALL = "apt-get -qq install -y --no-install-recommends redis-server"


async def test_a_server_shows_its_log_and_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no-such-setting"):
        await RedisServer(tmp_path / "wrong", config=["no-such-setting yes"]).start()
    with pytest.raises(KeyError):
        async with RedisServer(tmp_path / "right", appendfsync="everysec") as server:
            server.freeze()
            raise KeyError("whatever happens in a test")
    assert not Path(f"/proc/{server.pid}").exists()
    assert list((tmp_path / "right").iterdir()) == []


async def test_keys_that_would_stay_for_ever_are_found(redis_server: RedisServer) -> None:
    for key in ("{d*}:b", "{d*}:a", "{dd}:a"):
        await redis_server.command("SET", key, "x")
    await redis_server.command("SET", "{d*}:c", "x", "EX", 60)
    assert await keys_without_ttl(redis_server.url, "{d*}") == ["{d*}:a", "{d*}:b"]


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
        self._programs, self._calls = folder / "bin", folder / "calls"
        self.policy = folder / "policy-rc.d"
        self._script = folder / "redis"
        self._programs.mkdir()
        for name in ("redis", "debian"):
            text = (SCRIPTS / name).read_text()
            (folder / name).write_text(text.replace("/usr/sbin/policy-rc.d", str(self.policy)))

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def put(self, name: str, body: str = "") -> None:
        program = self._programs / name
        program.write_text(f'#!{SHELL}\necho "{name} $*" >>{self._calls}\n{body}\n')
        program.chmod(0o755)

    def with_root(self, outcome: str = "exit 0") -> None:
        """Root's, with an apt-get that notes whether a service might start."""
        self.put("id", "echo 0")
        self.put("update-rc.d")
        self.put("apt-get", f'"{self.policy}"; echo "services: $?" >>"{self._calls}"; {outcome}')
        for name in ("chmod", "rm"):
            (self._programs / name).symlink_to(shutil.which(name) or name)

    def run(self, **settings: str) -> str:
        """Run the script, which succeeds. Returns what it says."""
        found = subprocess.run(
            [SHELL, self._script],
            env={"PATH": str(self._programs), **settings},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert found.stdout == ""
        return found.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_script_names_what_is_missing_if_it_may_not_install(machine: Machine) -> None:
    said = machine.run()
    assert said.startswith("redis: There is no Redis server on PATH. Install it.")
    assert "DLS_REDIS_SERVER" in said
    assert said.count("\n") == 1
    machine.put("apt-get")
    machine.put("id", "echo 1000")
    assert "As root: apt-get install redis-server." in machine.run()
    assert machine.calls == ["id -u"]


@pytest.mark.parametrize("program", ["redis-server", "valkey-server", ""])
def test_the_script_does_nothing_where_there_is_a_server(machine: Machine, program: str) -> None:
    machine.with_root()
    if program:
        machine.put(program)
    assert machine.run(**({} if program else {"DLS_REDIS_SERVER": "/opt/redis-server"})) == ""
    assert machine.calls == []


def test_the_script_installs_as_root_and_no_service_is_started(machine: Machine) -> None:
    machine.with_root()
    assert machine.run() == "Installing redis-server\n"
    apt = ["apt-get -qq update", "services: 101", INSTALL, "services: 101"]
    assert machine.calls == ["id -u", *apt, "update-rc.d redis-server disable"]
    assert not machine.policy.exists()


def test_the_script_leaves_a_machines_own_policy_as_it_is(machine: Machine) -> None:
    machine.with_root()
    machine.policy.write_text(own := f"#!{SHELL}\nexit 104\n")
    machine.policy.chmod(0o755)
    machine.run()
    assert machine.calls[2] == "services: 104"
    assert machine.policy.read_text() == own


def test_the_script_ends_well_where_apt_get_fails(machine: Machine) -> None:
    machine.with_root("exit 100")
    assert "apt-get could not install redis-server" in machine.run()
    assert not machine.policy.exists()
