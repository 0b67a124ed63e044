"""The application and a visitor, for tests of the HTTP interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.app import App, Guest, running_app


def app_with(**options: Any) -> pytest.MarkDecorator:
    """The fixture `app` with these options of `running_app`."""
    return pytest.mark.parametrize("app", [options], indirect=True, ids=["-".join(options)])


@pytest.fixture
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(tmp_path, **getattr(request, "param", {})) as app:
        yield app


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    """A visitor with a cookie jar that is empty."""
    async with app.guest() as guest:
        yield guest
