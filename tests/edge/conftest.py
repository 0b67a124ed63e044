"""The application with limits that a test can wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durable_llm_streams.server.edge import EdgeLimits
from tests.app import App, running_app

QUICK = EdgeLimits(
    head_seconds=0.3,
    silent_seconds=0.5,
    body_seconds=0.5,
    unread_seconds=0.5,
    stream_seconds=3.0,
    linger_seconds=0.2,
    check_seconds=0.05,
)


@pytest.fixture
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(tmp_path, edge=getattr(request, "param", QUICK)) as app:
        yield app
