"""The benchmarks run, and what they see is whole. How fast it was is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.redis.run import PARTS
from bench.redis.servers import PROGRAMS
from bench.web.run import PAGES
from durable_llm_streams.server.ui import BUILT
from tests.chromium import find_chromium
from tests.node import missing
from tests.redis_servers import server

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


def bench(*arguments: str) -> str:
    """What `make bench` prints with these arguments."""
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["load"],
        ["kill"],
        ["edge"],
        ["limits"],
        ["rolling"],
        ["redis", "--parts", "cpu"],
        ["versions", "--against", "."],
        ["web", "--pages", "scripts", "typing"],
    ],
    ids=" ".join,
)
def test_a_benchmark_prints_its_figures_and_loses_no_chunk(
    arguments: list[str], tmp_path: Path
) -> None:
    name = arguments[0]
    if name in ("redis", "rolling", "versions", "limits"):
        server.require_redis()
    if name == "web" and (find_chromium() is None or not (BUILT / "index.html").is_file()):
        missing("Chromium and the built interface are needed: run `make test`")
    told = bench(*arguments, "--tiny", "--results", str(tmp_path))
    outcome = json.loads((tmp_path / f"{name}.json").read_text())["outcome"]
    assert outcome["faults"] == [], outcome["faults"]
    assert len(outcome["figures"]) > 1, outcome
    assert [each["name"] for each in outcome["figures"] if each["name"] not in told] == []


def test_the_help_names_every_part() -> None:
    told = bench("--help")
    assert [name for name in (*PARTS, *PAGES) if name not in told] == []


def test_the_redis_server_is_the_one_of_the_tests() -> None:
    assert server.PROGRAMS == PROGRAMS
