"""The rolling restart runs, and every reader gets every answer whole. How fast is not asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rolling.sizes import TINY
from tests.redis_servers import server

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.promise("hand-over"),
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc"),
]


def test_servers_are_restarted_under_load_and_every_answer_is_whole(tmp_path: Path) -> None:
    server.require_redis()

    command = [sys.executable, "-m", "bench", "rolling", "--tiny", "--results", str(tmp_path)]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)["outcome"]
    assert outcome["faults"] == []
    figures = {figure["name"]: figure["values"] for figure in outcome["figures"]}
    for store, servers in (("Redis", TINY.servers), ("SQLite", 1)):
        (read,) = (values for name, values in figures.items() if _is(name, store, "answers read"))
        (moved,) = (values for name, values in figures.items() if _is(name, store, "to move"))
        assert min(read) >= TINY.readers
        assert min(moved) > 0, "no reader was moved: nothing was handed over"
        restarts = [raw["restarts"] for raw in outcome["raw"] if raw["store"] == store]
        assert [len(each) for each in restarts] == [servers] * len(TINY.graces)


def _is(name: str, store: str, what: str) -> bool:
    return name.startswith(store) and name.endswith(what)
