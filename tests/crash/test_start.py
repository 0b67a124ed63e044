"""A store that cannot be used is refused at the start, in one line that says what to change."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.children import tied
from tests.processes import ServerProcess
from tests.redis_servers import RedisServer
from tests.waiting import within

pytestmark = [pytest.mark.xdist_group("crash_failover"), pytest.mark.timeout(300)]

SECRET = "opensesame"


async def refusal(folder: Path, url: str) -> str:
    """What `dls serve` says on standard error when it cannot start."""
    server = ServerProcess(folder, {"DLS_STORE": url, "DLS_LOG_LEVEL": "warning"})
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-m", "durable_llm_streams", "serve"]),
        env=server.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with within(f"the server to refuse {url}", seconds=200):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 2, err
    assert out == b""
    (line,) = err.decode().splitlines()
    assert SECRET not in line
    return line


@pytest.mark.promise("fit-store")
async def test_a_store_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    async with (
        RedisServer(tmp_path, password=SECRET) as locked,
        RedisServer(tmp_path, maxmemory="600kb") as full,
        RedisServer(tmp_path) as master,
        RedisServer(tmp_path, config=[f"replicaof 127.0.0.1 {master.port}"]) as replica,
    ):
        gone = RedisServer(tmp_path)  # never started: nobody listens at its port
        port = locked.port
        cases = {
            gone.url: ("nobody listens", str(gone.port), "DLS_STORE"),
            f"redis://127.0.0.1:{port}/0": ("password",),
            f"redis://:{SECRET}x@127.0.0.1:{port}/0": ("password", "DLS_STORE"),
            f"redis://:{SECRET}@127.0.0.1:{port}/99": ("database 99", "DLS_STORE"),
            replica.url: ("replica", "DLS_STORE"),
            full.url: ("memory",),
        }
        lines = await asyncio.gather(*(refusal(tmp_path, url) for url in cases))
        for line, words in zip(lines, cases.values(), strict=True):
            for word in words:
                assert word in line, line
