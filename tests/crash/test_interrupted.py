"""A test run or a campaign that is interrupted leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.children import tied
from tests.redis_servers import require_redis
from tests.waiting import until

pytestmark = [
    pytest.mark.xdist_group("interrupted"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux kills a dead process's children"
    ),
]

ROOT = Path(__file__).parents[2]
FOREVER = "tests/crash/forever.py"
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", FOREVER)
COMMANDS = {
    "pytest": (*PYTEST, "-n", "0", "-k", "1"),
    "pytest -n 2": (*PYTEST, "-n", "2"),
    "make crash": ("-m", "tests.crash", "--store", "redis", "--kills", "1000000"),
}

#: What is in the environment of the processes of one case, and of no others.
MARK = "INTERRUPTED_FOLDER"


def programs(folder: Path) -> list[str]:
    """The living processes that were started for a case, each with its command line.

    Redis overwrites its environment, but it works in its folder, which is in the case's.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            words = (process / "cmdline").read_bytes().split(b"\0")
            here = (process / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue  # it has ended meanwhile, or it is not ours
        if here or f"{MARK}={folder}".encode() in environment:
            found.append(f"{process.name}: {b' '.join(words).decode()}")
    return found


def has(found: list[str], *words: str) -> bool:
    return all(any(word in each for each in found) for word in words)


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("pytest", signal.SIGTERM),
        ("pytest -n 2", signal.SIGINT),
        ("pytest -n 2", signal.SIGKILL),
        ("make crash", signal.SIGTERM),
        ("make crash", signal.SIGKILL),
    ],
)
async def test_an_interrupted_run_leaves_no_process_behind(
    tmp_path: Path, command: str, number: signal.Signals
) -> None:
    require_redis()
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, *COMMANDS[command]]),
        cwd=ROOT,
        env={**os.environ, MARK: str(tmp_path), "TMPDIR": str(tmp_path)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a signal to it reaches none of its children by the way
    )

    async def under_way() -> list[str]:
        found = programs(tmp_path)
        assert process.returncode is None, f"It ended with status {process.returncode}"
        if command == "make crash":
            return found if has(found, "redis-server", "zygote", "provider") else []
        wanted = 1 + ("-n 2" in command)
        return found if len(list(tmp_path.glob("ready-*"))) == wanted else []

    try:
        started = await until(under_way, what="every process to run", seconds=200)
        assert has(started, "redis-server", "zygote", "provider"), started
        process.send_signal(number)
        await until(lambda: programs(tmp_path), lambda left: not left, "no process", seconds=60)
        assert await process.wait() != 0
    finally:
        if process.returncode is None:
            process.kill()
