"""A plugin of pytest: it runs nothing unless the package comes from the folder `MUTATED` names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import durable_llm_streams


def pytest_sessionstart() -> None:
    """Look where the package came from."""
    folder = Path(os.environ["MUTATED"])
    if not Path(durable_llm_streams.__file__).is_relative_to(folder):
        pytest.exit(f"{durable_llm_streams.__file__} is not in {folder}.", returncode=3)
