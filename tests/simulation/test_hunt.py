"""The hunt: a seed makes the same history anywhere, and a broken promise is found and reported."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from .hunting import ROOT, Report, hunt
from .report import explain, outcomes, replay
from .seeds import KNOWN, SeedFile
from .shrinking import Bounds

STORES = ("sqlite", "redis")
SEEDS = range(500, 512)
FRESH, FRESH_AT_LEAST = 200, 150
FRESH_SECONDS = 140.0
SHRINK_SECONDS = 90.0

#: Another process as another machine would start it: other hashes, other addresses, other places.
ELSEWHERE: Mapping[str, str] = {
    "PYTHONHASHSEED": "4711",
    "PYTHONMALLOC": "malloc",
    "TZ": "Asia/Tokyo",
    "LC_ALL": "C",
    "NOTHING": "x" * 5000,
}


def hunting(
    arguments: Sequence[str], folder: Path, source: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the hunt as a person does, in a folder and with a product of one's own."""
    path = os.pathsep.join(map(str, filter(None, (source, ROOT))))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=280)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # with those that it has started
        process.communicate()
        raise
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


# --- a seed is a history -------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", STORES)
def test_a_seed_makes_the_same_history_in_any_process_and_after_any_other(store: str) -> None:
    here = outcomes(store, SEEDS, {})
    there = outcomes(store, SEEDS[::-1], ELSEWHERE)
    assert list(here) == list(SEEDS)
    for seed in SEEDS:
        assert here[seed].digest
        assert here[seed] == there[seed]
    assert len({outcome.digest for outcome in here.values()}) == len(SEEDS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", STORES)
def test_exactly_what_is_named_happens_in_a_history(store: str) -> None:
    for seed in SEEDS[:3]:
        whole = replay(seed, store, None)
        assert replay(seed, store, whole.happened) == whole
        assert whole.happened, f"nothing happened in seed {seed}"
    quiet = replay(SEEDS[0], store, [])
    assert (quiet.breach, quiet.happened) == (None, [])
    assert quiet.figures["runs"] == quiet.figures["finished"] > 0


# --- fresh seeds ---------------------------------------------------------------------------------


@pytest.mark.timeout(900)  # on a machine that is busy otherwise
@pytest.mark.promise("prefix", "seen-is-durable", "fencing", "one-end", "stop")
@pytest.mark.promise("idempotent-send", "history-is-fold", "honest-failure", "one-clean-answer")
@pytest.mark.promise("takeover", "lost-tail-is-told", "no-secrets", "no-leak")
@pytest.mark.promise("hand-over", "outage", "feed", "owned", "versions", "bounded")
@pytest.mark.parametrize("store", STORES)
def test_fresh_seeds_break_no_promise(store: str) -> None:
    """Two hundred of them; on a machine that is busy otherwise, at least 150."""
    first, until = time.time_ns() // 1_000_000, time.monotonic() + FRESH_SECONDS
    whole = Report()
    with closing(hunt([store], first, FRESH, jobs=1)) as reports:
        for report in reports:
            whole.add(report)
            if time.monotonic() > until and whole.histories[store] >= FRESH_AT_LEAST:
                break
    print(f"{whole.histories} histories of fresh seeds, from {first} on")
    for _, seed, _ in whole.failed:
        bounds = Bounds(seconds=SHRINK_SECONDS)
        text = explain(seed, store, bounds=bounds) or f"seed {seed} on {store} fails now and then"
        pytest.fail(text, pytrace=False)
    assert whole.histories[store] >= FRESH_AT_LEAST
    assert whole.figures["runs"] > whole.histories[store] / 2


# --- seeds that once broke a promise -------------------------------------------------------------


@pytest.mark.timeout(300)
def test_what_once_broke_a_promise_breaks_none_any_more() -> None:
    """All of them, in one test: where there are none yet, there is nothing that could pass."""
    for path in sorted(KNOWN.glob("*.json")):
        kept = SeedFile.read(path)
        assert path.name == f"{kept.store}-{kept.seed}.json"
        assert kept.broke, f"{path} does not say what it broke"
        assert kept.only is not None, f"{path} is not shrunk"
        found = explain(kept.seed, kept.store, only=kept.only, bounds=Bounds(tries=1))
        assert found is None, found


# --- a planted defect ----------------------------------------------------------------------------

#: An append that is retried after an unknown outcome writes a duplicate.
PLACE = Path("durable_llm_streams/stores/sqlite/log.py")
RIGHT, WRONG = "elif item.at != active.next_seq:", "elif item.at > active.next_seq:"


@pytest.fixture
def defective(tmp_path: Path) -> Path:
    """A copy of the product that is wrong in one place."""
    source = tmp_path / "src"
    left_out = shutil.ignore_patterns("static", "__pycache__")
    shutil.copytree(ROOT / "src", source, ignore=left_out)
    text = (source / PLACE).read_text()
    assert text.count(RIGHT) == 1
    (source / PLACE).write_text(text.replace(RIGHT, WRONG))
    return source


@pytest.mark.timeout(300)
def test_a_planted_defect_is_found_reported_and_kept(defective: Path, tmp_path: Path) -> None:
    words = ["--seeds", "60", "--store", "sqlite", "--tries", "12", "--jobs", "1"]
    done = hunting(words, tmp_path, defective)
    assert (done.returncode, done.stderr) == (1, "")
    [path] = (tmp_path / "hunt").iterdir()
    kept = SeedFile.read(path)
    assert kept.only
    told = done.stdout
    assert f"Seed {kept.seed} on sqlite breaks a promise.\n\n  {kept.broke[:20]}" in told
    assert "It needs " in told or "Shrinking stopped early, after 12 tries" in told
    for name in kept.only:
        assert f"  - {name}\n" in told
    assert "What happened:\n\n     0.0000 s  A1 starts" in told
    assert f"Again: make hunt ARGS='--seed {kept.seed} --store sqlite', or the small one" in told
    assert path.name in told

    again = hunting(["--file", str(path), "--tries", "1"], tmp_path, defective)
    assert again.returncode == 1
    assert f"Seed {kept.seed} on sqlite breaks a promise." in again.stdout
    assert kept.broke.partition(":")[0] in again.stdout

    right = hunting(["--file", str(path)], tmp_path)
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout == f"Seed {kept.seed} on sqlite breaks no promise.\n"
