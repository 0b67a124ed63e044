"""A short campaign over each store; `make crash` runs long ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.__main__ import main, run_together
from tests.crash.campaign import ATTEMPTS, Campaign, Options
from tests.crash.plan import WEIGHTS, chat_plan, faults
from tests.crash.provider import provider_process
from tests.crash.report import Outcome
from tests.crash.stores import KINDS, OneRedis
from tests.crash.zygote import Zygote
from tests.redis_servers import require_redis

# They are heavy: not two at once.
pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(600)]

#: Kills of each campaign. Servers start more slowly than a Cluster or Sentinels fail over.
KILLS = {"redis": 15, "sqlite": 12, "sentinel": 8, "cluster": 8}


@pytest.mark.promise("prefix", "fencing", "one-end", "stop", "idempotent-send", "history-is-fold")
@pytest.mark.promise("seen-is-durable", "takeover", "one-clean-answer", "honest-failure")
@pytest.mark.promise("outage", "no-leak", "owned", "versions", "feed")
@pytest.mark.parametrize("store", KINDS)
async def test_nothing_is_lost_doubled_or_mixed_up_whatever_is_killed(
    tmp_path: Path, store: str
) -> None:
    if store != "sqlite":
        require_redis()
    kills = KILLS[store]
    options = Options(store, seed=1, folder=tmp_path, kills=kills, every=0.5, chats=6)
    async with Zygote() as zygote, provider_process(options.seed) as provider:
        outcome = await Campaign(options, zygote, provider).run()
    assert not outcome.wrong, "\n\n".join(outcome.wrong)
    counts = outcome.counts
    assert counts["kills"] >= kills
    assert counts["answers of more than one epoch"] > 0, "nothing was taken over"
    assert counts["answers that went on without a reset"] > 0
    assert counts["answers finished"] > 0
    assert counts["events compared with records"] > 0
    answers = sum(counts[f"answers {status}"] for status in ("finished", "stopped", "failed"))
    assert counts["logs looked at once more"] == answers


# --- the tools ---------------------------------------------------------------------------------


def test_a_plan_is_its_seed() -> None:
    of_store = OneRedis.weights
    first, again, other = (
        [next(plan) for _ in range(300)]
        for plan in (faults(seed, 3, 0.5, of_store) for seed in ("1", "1", "2"))
    )
    assert first == again != other
    assert {fault.kind for fault in first} == {*WEIGHTS, *of_store}
    assert chat_plan("1", 7, 3) == chat_plan("1", 7, 3) != chat_plan("1", 8, 3)
    assert ATTEMPTS > 1


@pytest.mark.parametrize(
    ("words", "report", "said"),
    [
        (["--store", "cluster"], None, "There is no redis-server: install it"),
        (["--store", "sqlite"], "{", "is damaged"),
        (["--store", "sqlite"], "[]", "is not the report of a campaign"),
    ],
)
def test_a_campaign_that_cannot_run_prints_the_reason_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    report: str | None,
    said: str,
) -> None:
    monkeypatch.setenv("DLS_REDIS_SERVER", str(tmp_path / "none"))
    if report is not None:
        (tmp_path / "report.json").write_text(report)
        words = [*words, "--report", str(tmp_path / "report.json")]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


class Unfinished(Campaign):
    """Has found a violation, and goes on."""

    store = "redis"
    wrong = ("prefix: record 7 differs",)

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def run(self) -> Outcome:
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_an_interrupted_campaign_prints_the_violations_that_it_has_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign = Unfinished()
    running = asyncio.create_task(run_together([campaign]))
    await campaign.begun.wait()
    running.cancel()
    await asyncio.wait([running])
    assert "Found over redis:\nprefix: record 7 differs" in capsys.readouterr().err
