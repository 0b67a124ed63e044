"""Holds one process of each kind for ever, for `test_interrupted` to interrupt."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.crash.provider import provider_process
from tests.crash.zygote import Zygote
from tests.processes import ServerProcess
from tests.redis_servers import RedisServer


@pytest.mark.parametrize("number", [1, 2])
async def test_processes_are_held_for_ever(tmp_path: Path, number: int) -> None:
    async with (
        RedisServer(tmp_path),
        Zygote() as zygote,
        provider_process(seed=1),
    ):
        forked = ServerProcess(tmp_path / "forked")
        forked.log.parent.mkdir()
        await zygote.fork(forked.environment, forked.log)
        own = ServerProcess(tmp_path)
        await own.launch()
        Path(os.environ["INTERRUPTED_FOLDER"], f"ready-{number}").touch()
        await asyncio.Event().wait()
