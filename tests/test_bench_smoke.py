"""The benchmarks still run, and what they see is whole. How fast it was is not asked here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


@pytest.mark.parametrize("name", ["load", "kill"])
def test_a_benchmark_prints_its_figures_and_loses_no_chunk(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", name, "--tiny", "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No chunk was lost or doubled." in done.stdout
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["outcome"]["figures"]
    assert result["outcome"]["faults"] == []
    for figure in result["outcome"]["figures"]:
        assert figure["name"] in done.stdout
