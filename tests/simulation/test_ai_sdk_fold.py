"""What simulated histories leave in the store is what the unmodified AI SDK makes of their logs."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.node import Script, ai_sdk_fold

from .report import outcomes

__all__ = ["ai_sdk_fold"]

SEEDS = range(30)


@pytest.mark.timeout(300)
@pytest.mark.promise("history-is-fold")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_stored_messages_are_the_ai_sdks_own_fold_of_the_logs(
    ai_sdk_fold: Script, store: str
) -> None:
    seen: Counter[str] = Counter()
    for outcome in outcomes(store, SEEDS).values():
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
