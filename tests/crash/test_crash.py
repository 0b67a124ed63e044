"""A short campaign over each store; `make crash` runs long ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.crash.__main__ import main
from tests.crash.campaign import ATTEMPTS, Campaign, Options
from tests.crash.plan import WEIGHTS, chat_plan, faults
from tests.crash.provider import provider_process
from tests.crash.stores import KINDS, OneRedis
from tests.crash.zygote import Zygote
from tests.processes import ServerProcess
from tests.redis_servers import require_redis
from tests.waiting import until

# They are heavy: not two at once.
pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(600)]

#: Kills of each campaign. Servers start more slowly than a Cluster or Sentinels fail over.
KILLS = {"redis": 15, "sqlite": 12, "sentinel": 8, "cluster": 8}


def require(store: str) -> None:
    """Skip the test, or fail it in CI, where there is no Redis to run it on."""
    if store != "sqlite":
        require_redis()


@pytest.mark.promise("prefix", "fencing", "one-end", "stop", "idempotent-send", "history-is-fold")
@pytest.mark.promise("seen-is-durable", "takeover", "one-clean-answer", "honest-failure")
@pytest.mark.promise("outage", "no-leak", "owned", "versions", "feed")
@pytest.mark.parametrize("store", KINDS)
async def test_nothing_is_lost_doubled_or_mixed_up_whatever_is_killed(
    tmp_path: Path, store: str
) -> None:
    require(store)
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
def test_a_campaign_that_cannot_run_says_why_in_one_sentence(
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


def open_files(pid: int) -> set[str]:
    """What a process has open, but for kinds of files that have no names."""
    files = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return {name for name in files if not name.startswith("anon_inode")}


@pytest.mark.parametrize("fresh", [False, True])
async def test_a_forked_server_is_a_process_of_its_own(tmp_path: Path, fresh: bool) -> None:
    place = ServerProcess(tmp_path)
    async with Zygote() as zygote:
        child = await zygote.fork(place.environment, place.log, fresh=fresh)
        async with aiohttp.ClientSession() as session:
            await until(lambda: place.ready(session), what="the forked server to be ready")
        assert os.getsid(child.pid) == child.pid
        own = open_files(child.pid)
        assert {os.devnull, str(place.log)} <= own
        assert own & open_files(zygote.pid) <= {os.devnull}, "it holds the zygote's"
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
        dead = await zygote.fork({"PATH": os.environ["PATH"], "DLS_STORE": "no"}, tmp_path / "log")
        assert await dead.wait() == 2  # what `dls serve` says to an address that is none
    assert "Traceback" not in place.log.read_text() + (tmp_path / "log").read_text()
