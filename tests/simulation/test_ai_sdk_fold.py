"""What simulated histories leave in the store is what the unmodified AI SDK makes of their logs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from tests.node import Script, ai_sdk_fold

from .history import Outcome
from .hunting import ROOT, environment

__all__ = ["ai_sdk_fold"]

SEEDS = range(30)


def lived(store: str) -> list[Outcome]:
    words = (store, ",".join(map(str, SEEDS)), "whole")
    process = subprocess.run(
        [sys.executable, "-m", "tests.simulation.batch", *words],
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=280,
        check=True,
    )
    return msgspec.json.decode(process.stdout, type=list[Outcome])


@pytest.mark.timeout(300)
@pytest.mark.promise("history-is-fold")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_stored_messages_are_the_ai_sdks_own_fold_of_the_logs(
    ai_sdk_fold: Script, store: str
) -> None:
    seen: Counter[str] = Counter()
    for outcome in lived(store):
        assert outcome.breach is None, outcome.trace
        for log in outcome.logs:
            chunks = [json.loads(record) for record in log.records]
            theirs = ai_sdk_fold.ask({"records": log.records, "lost": None})
            told = f"seed {outcome.seed} on {store}: {log.records}"
            assert json.loads(log.message) == theirs["message"], told
            failed = chunks[-1]["type"] == "error"
            assert (theirs["error"] is not None) == failed, told
            seen.update({chunk["type"] for chunk in chunks})
            seen["logs"] += 1
    assert seen["logs"] > len(SEEDS)
    for kind in ("finish", "error", "abort", "reset-step", "reasoning-delta", "data-run"):
        assert seen[kind], f"no log has a {kind}"
