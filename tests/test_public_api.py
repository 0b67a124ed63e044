"""The names that users may rely on, and user code that must keep its types."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import durable_llm_streams

ROOT = Path(__file__).parent.parent

NAMES = [
    "Cursor", "DurableClient", "DurableError", "Event", "Finish", "Limits", "ModelError",
    "OfferedModel", "Principal", "Prompt", "ReasoningDelta", "ServerConfig", "ServerRefused",
    "ServerUnreachable", "Source", "TextDelta", "Turn", "Unauthenticated", "Worker",
    "__version__", "create_app", "open_store",
]  # fmt: skip


def test_the_public_names_are_these_and_no_others() -> None:
    assert durable_llm_streams.__all__ == NAMES
    assert sorted(NAMES) == NAMES
    assert all(hasattr(durable_llm_streams, name) for name in NAMES)


def test_the_example_of_an_own_model_is_what_it_says() -> None:
    spec = importlib.util.spec_from_file_location("own_model", ROOT / "examples/own_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def said() -> str:
        prompt = durable_llm_streams.Prompt(
            model="parrot", turns=[durable_llm_streams.Turn("user", "polly wants")]
        )
        events = [event async for event in module.Parrot().stream(prompt)]
        assert isinstance(events[-1], durable_llm_streams.Finish)
        return "".join(event.text for event in events[:-1])

    assert asyncio.run(said()) == "polly wants "


def test_the_python_of_the_readme_compiles_and_imports_what_exists() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")
        for names in re.findall(r"from durable_llm_streams import (.+)", block):
            assert set(re.split(r",\s*", names)) <= set(NAMES)


def test_importing_the_package_opens_nothing_and_prints_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import durable_llm_streams"],
        cwd=tmp_path, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []
