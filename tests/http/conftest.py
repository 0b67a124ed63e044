"""The application and a visitor, for tests of the HTTP interface that need nothing special."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app import App, Guest, running_app


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(tmp_path) as app:
        yield app


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    """A visitor with a cookie jar that is empty."""
    async with app.guest() as guest:
        yield guest
