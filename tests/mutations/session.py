"""One session of pytest that collects the tests once and then judges mutants with them."""

from __future__ import annotations

import asyncio
import gc
import pickle
import select
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from . import verdicts as outcomes
from .child import Child, Watcher, file_of, judge, record
from .installing import Functions
from .mutant import Mutant, fingerprint
from .reach import Reach, Run
from .verdicts import Verdict, evidence

#: A test may take this many times what it took when it was recorded, and some seconds more.
_TIMES: Final = 5.0
#: The longest that a test may take when it is recorded. pytest's own limit is shorter.
_RECORDING: Final = 300.0
_SAVE_SECONDS: Final = 60.0


@dataclass
class Budget:
    """How much is done for a mutant that no test has caught yet.

    Attributes:
        seconds: of tests, by their recorded cost; the quickest are run first.
        patience: how many seconds more than it should a test may take until it counts as hung.
    """

    seconds: float = 120.0
    patience: float = 15.0


class Session:
    """The plugin of pytest that takes the place of its loop over tests.

    Args:
        work: what to do once the tests are collected.
        folder: for everything that is written meanwhile.
        jobs: how many processes run at a time.
        say: takes a line for people.
    """

    def __init__(
        self,
        work: Callable[[Session], None],
        folder: Path,
        jobs: int,
        say: Callable[[str], None],
    ) -> None:
        self._work = work
        self._folder = folder
        self._jobs = jobs
        self.say = say
        self.error: BaseException | None = None
        self._watcher = Watcher()
        self._items: dict[str, pytest.Item] = {}
        self._pytest: pytest.Session | None = None
        self._redis: list[Any] = []
        self._redis_fixtures: set[Any] = set()
        self._killers: Counter[tuple[str, str]] = Counter()
        self._number = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Let Hypothesis repeat itself: a mutant is judged by the same examples each time."""
        from hypothesis import HealthCheck, Phase, settings  # not before pytest rewrites it

        config.pluginmanager.register(self._watcher)
        settings.register_profile(
            "mutants",
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the work in the place of the tests."""
        self._pytest = session
        self._items = {item.nodeid: item for item in session.items}
        try:
            self._start_redis()
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - pytest must not swallow it
            self.error = error
        finally:
            for server in self._redis:
                asyncio.run(server.close())
        return True

    def record(self, reach: Reach, files: Sequence[str], save: Callable[[], None]) -> None:
        """Run all tests of these files, and note what they reach.

        Args:
            reach: where it is noted.
            files: of tests.
            save: called now and then, so that an interruption costs little.
        """
        running: dict[int, tuple[Child, float]] = {}
        for slot, share in enumerate(self._shares(files)):
            self._use_redis(slot)
            kept = self._folder / f"recorded-{slot}"
            kept.mkdir()
            child = self._fork(record(share, self._watcher, kept))
            running[slot] = (child, time.monotonic() + _RECORDING)
        saved, done = time.monotonic(), 0
        try:
            while running:
                self._wait([child for child, _ in running.values()])
                for slot, (child, deadline) in list(running.items()):
                    messages, ended = child.messages()
                    for kind, *rest in messages:
                        deadline = time.monotonic() + _RECORDING
                        if kind == "recorded":
                            reach.record(rest[0], pickle.loads(Path(rest[1]).read_bytes()))
                            done += 1
                        elif kind == "broken":
                            raise RuntimeError(f"The tests could not be recorded: {rest[0]}")
                    running[slot] = (child, deadline)
                    if ended or time.monotonic() > deadline:
                        self._end(child)
                        del running[slot]
                if time.monotonic() - saved > _SAVE_SECONDS:
                    save()
                    saved = time.monotonic()
                    self.say(f"{done} of {len(files)} files of tests are recorded.")
        finally:
            for child, _ in running.values():
                self._end(child)
            save()

    def _shares(self, files: Sequence[str]) -> list[list[pytest.Item]]:
        """The tests of files, in about equal parts, files as a whole."""
        lots: dict[str, list[pytest.Item]] = {name: [] for name in files}
        for item in self._items.values():
            if file_of(item) in lots:
                lots[file_of(item)].append(item)
        shares: list[list[pytest.Item]] = [[] for _ in range(self._jobs)]
        for lot in lots.values():
            min(shares, key=len).extend(lot)
        return [share for share in shares if share]

    def judge(
        self, mutants: Iterable[Mutant], reach: Reach, budget: Budget
    ) -> Iterator[tuple[Mutant, Verdict]]:
        """Run the tests that reach each mutant, `jobs` mutants at a time."""
        functions = Functions()
        gc.freeze()  # so that children share the memory, as none of it is looked at again
        waiting = iter(mutants)
        free = list(range(self._jobs))
        running: dict[int, _Judged] = {}
        try:
            while True:
                while free and (mutant := next(waiting, None)) is not None:
                    reaching = self.reaching(mutant, reach)
                    if reaching:
                        slot = free.pop()
                        running[slot] = self._begin(mutant, reaching, functions, slot, budget)
                    else:
                        yield mutant, _verdict(mutant, outcomes.UNREACHED, [])
                if not running:
                    return
                self._wait([each.child for each in running.values()])
                for slot, each in list(running.items()):
                    if (verdict := each.look()) is not None:
                        del running[slot]
                        free.append(slot)
                        self._ended(each, verdict, slot)
                        yield each.mutant, verdict
        finally:
            for each in running.values():
                self._end(each.child)

    def _begin(
        self,
        mutant: Mutant,
        reaching: dict[str, Run],
        functions: Functions,
        slot: int,
        budget: Budget,
    ) -> _Judged:
        redis = self._use_redis(slot)
        tests = self._chosen(mutant, reaching, budget)
        items = [self._items[name] for name in tests]
        work = judge(mutant, functions, items, self._watcher, redis)
        return _Judged(mutant, tests, list(reaching), self._fork(work), budget.patience)

    def _ended(self, judged: _Judged, verdict: Verdict, slot: int) -> None:
        self._end(judged.child)
        if verdict.outcome == outcomes.TIMED_OUT:
            self._mend_redis(slot)
        self.learn(judged.mutant, verdict)

    def learn(self, mutant: Mutant, verdict: Verdict) -> None:
        """The test that caught a mutant is the first to be tried on its neighbours."""
        if verdict.good:
            self._killers[mutant.address, verdict.by] += 1
            self._killers[mutant.path, verdict.by] += 1

    def reaching(self, mutant: Mutant, reach: Reach) -> dict[str, Run]:
        """All tests that run the changed statement."""
        return {name: run for name, run in reach.tests_of(mutant).items() if name in self._items}

    def _chosen(self, mutant: Mutant, found: dict[str, Run], budget: Budget) -> dict[str, Run]:
        """The tests to run: those that caught its neighbours, then the quickest."""
        order = sorted(found, key=lambda name: found[name].cost)
        caught = Counter(
            {
                name: 1000 * self._killers[mutant.address, name] + self._killers[mutant.path, name]
                for name in found
            }
        )
        first = [name for name, count in caught.most_common(8) if count]
        chosen: dict[str, Run] = {}
        left = budget.seconds
        for name in dict.fromkeys([*first, *order]):
            left -= found[name].cost
            if left < 0 and chosen:
                break
            chosen[name] = found[name]
        return chosen

    def _fork(self, work: Any) -> Child:
        self._number += 1
        folder = self._folder / str(self._number)
        assert self._pytest is not None
        factory = self._pytest.config._tmp_path_factory  # type: ignore[attr-defined]
        factory._given_basetemp, factory._basetemp = folder / "tests", None
        sys.stdout.flush()
        return Child(folder, work)

    def _end(self, child: Child) -> None:
        child.end()
        shutil.rmtree(child.folder, ignore_errors=True)

    def _wait(self, children: Sequence[Child]) -> None:
        select.select([child.reading for child in children], [], [], 0.5)

    def _start_redis(self) -> None:
        for item in self._items.values():
            known = getattr(item, "_fixtureinfo", None)
            if known is not None:
                self._redis_fixtures.update(known.name2fixturedefs.get("redis_server", ()))
        if not self._redis_fixtures:
            return
        from tests.redis_servers import RedisServer, find_redis

        if find_redis() is None:
            self.say("There is no Redis server here: tests that need one do not look for mutants.")
            return
        for _ in range(self._jobs):
            server = RedisServer(self._folder)
            self._redis.append(server)
            asyncio.run(server.start())

    def _use_redis(self, slot: int) -> int | None:
        """Let the next child find a running server in the place of one of its own."""
        if not self._redis:
            return None
        server = self._redis[slot]
        for definition in self._redis_fixtures:
            definition.cached_result = (server, None, None)
        return int(server.port)

    def _mend_redis(self, slot: int) -> None:
        """Start a server anew: a script of a mutant may run in it for ever."""
        if not self._redis:
            return
        server = self._redis[slot]

        async def anew() -> None:
            await server.kill()
            await server.start()

        asyncio.run(anew())


class _Judged:
    """A mutant that tests run on."""

    def __init__(
        self,
        mutant: Mutant,
        tests: dict[str, Run],
        reaching: list[str],
        child: Child,
        patience: float,
    ) -> None:
        self.mutant = mutant
        self._reaching = reaching
        self._begun = False
        self.child = child
        self._tests = tests
        self._names = list(tests)
        self._at = 0
        self._patience = patience
        self._deadline = time.monotonic() + 2 * patience

    def look(self) -> Verdict | None:
        """The verdict, once there is one."""
        messages, ended = self.child.messages()
        for kind, *rest in messages:
            if kind == "begin":
                self._at, self._begun = rest[0], True
                run = self._tests[self._names[self._at]]
                self._deadline = time.monotonic() + _TIMES * run.seconds + self._patience
            elif kind == "caught":
                return self._made(outcomes.CAUGHT, *rest)
            elif kind == "unfit":
                return self._made(outcomes.UNFIT, "", *rest)
            elif kind == "survived":
                return self._made(outcomes.SURVIVED)
            elif kind == "broken":
                if not self._begun:
                    raise RuntimeError(f"No test could be run: {rest[0]}")
                return self._made(outcomes.CAUGHT, self._names[self._at], "The process broke.")
        if ended:
            return self._made(outcomes.CAUGHT, self._names[self._at], "The process ended.")
        if time.monotonic() > self._deadline:
            return self._made(outcomes.TIMED_OUT, self._names[self._at], "It did not end in time.")
        return None

    def _made(self, outcome: str, by: str = "", how: str = "") -> Verdict:
        return _verdict(self.mutant, outcome, self._reaching, by, how, self._at + 1)


def _verdict(
    mutant: Mutant, outcome: str, tests: Iterable[str], by: str = "", how: str = "", ran: int = 0
) -> Verdict:
    resting = [by] if by else tests
    return Verdict(outcome, by, how, ran, fingerprint(mutant), evidence(resting))
