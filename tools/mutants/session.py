"""One session of pytest that collects the tests once and then judges mutants with them."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from . import verdicts as outcomes
from .child import Child, Watcher, Work, file_of, judge, record
from .installing import Functions
from .mutant import Mutant, fingerprint
from .reach import Reach, Recorded, Run
from .verdicts import Verdict, evidence

#: A test may take this many times what it took when it was recorded, and some seconds more.
_TIMES: Final = 5.0
#: The longest that a test may take when it is recorded. pytest's own limit is shorter.
_RECORDING: Final = 300.0


Task = TypeVar("Task", "_Recording", "_Judged")


class Session:
    """The plugin of pytest that takes the place of its loop over tests.

    Args:
        work: what to do once the tests are collected.
        folder: for everything that is written meanwhile.
        jobs: how many processes run at a time.
        say: takes a line for people.
        budget: seconds of tests for a mutant, by their recorded cost.
        patience: how many seconds more than it should a test may take until it counts as hung.
    """

    def __init__(
        self,
        work: Callable[[Session], None],
        folder: Path,
        jobs: int,
        say: Callable[[str], None],
        budget: float = 120.0,
        patience: float = 15.0,
    ) -> None:
        self._work = work
        self._folder = folder
        self._jobs = jobs
        self._say = say
        self._budget = budget
        self._patience = patience
        self.error: BaseException | None = None
        self._watcher = Watcher()
        self._items: dict[str, pytest.Item] = {}
        self._pytest: pytest.Session | None = None
        self._redis: list[Any] = []
        self._redis_fixtures: set[Any] = set()
        self._catchers: Counter[tuple[str, str]] = Counter()
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

    def record(self, reach: Reach, names: Sequence[str]) -> None:
        """Run all tests of these files, and note what they reach.

        Raises:
            RuntimeError: a process of the tests broke.
        """
        files: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in self._items.values():
            if file_of(item) in names:
                files[file_of(item)].append(item)
        waiting = iter(files.items())

        def begin(slot: int) -> _Recording | None:
            name, items = next(waiting, ("", []))
            self._use_redis(slot)
            return _Recording(name, self._fork(record(items, self._watcher))) if items else None

        for done, (_, each) in enumerate(self._all(begin), 1):
            if each.recorded is None:
                self._say(f"not recorded, it hangs or ends its process: {each.name}")
                continue
            reach.record(each.name, each.recorded)
            if done % 10 == 0 or done == len(files):
                reach.save()
                self._say(f"{done} of {len(files)} files of tests are recorded.")

    def judge(self, mutants: Iterable[Mutant], reach: Reach) -> Iterator[tuple[Mutant, Verdict]]:
        """Run the tests that reach each mutant, until one fails."""
        functions = Functions()
        gc.freeze()  # so that children share the memory, as none of it is looked at again
        waiting = iter(mutants)
        unreached: list[tuple[Mutant, Verdict]] = []

        def begin(slot: int) -> _Judged | None:
            for mutant in waiting:
                reaching = self.reaching(mutant, reach)
                if not reaching:
                    unreached.append((mutant, _verdict(mutant, outcomes.UNREACHED, [])))
                    continue
                redis, tests = self._use_redis(slot), self._chosen(mutant, reaching)
                items = [self._items[name] for name in tests]
                child = self._fork(judge(mutant, functions, items, self._watcher, redis))
                return _Judged(mutant, tests, reaching, child, self._patience)
            return None

        for slot, each in self._all(begin):
            assert each.verdict is not None
            if each.verdict.outcome == outcomes.TIMED_OUT and self._redis:
                asyncio.run(_restart(self._redis[slot]))
            self.learn(each.mutant, each.verdict)
            yield each.mutant, each.verdict
        yield from unreached

    def _all(self, begin: Callable[[int], Task | None]) -> Iterator[tuple[int, Task]]:
        """Run one task after the other, `jobs` at a time, and give each, with its slot, at its end.

        Args:
            begin: starts one in a slot, if there is another.
        """
        free, running = list(range(self._jobs)), dict[int, Task]()
        try:
            while True:
                while free and (task := begin(free[-1])) is not None:
                    running[free.pop()] = task
                if not running:
                    return
                wait([task.child.reading for task in running.values()], timeout=0.5)
                for slot, task in list(running.items()):
                    if task.look():
                        del running[slot]
                        free.append(slot)
                        task.child.end()
                        yield slot, task
        finally:
            for task in running.values():
                task.child.end()

    def learn(self, mutant: Mutant, verdict: Verdict) -> None:
        """The test that caught a mutant is the first to be tried on its neighbours."""
        if verdict.good:
            self._catchers[mutant.address, verdict.by] += 1
            self._catchers[mutant.path, verdict.by] += 1

    def reaching(self, mutant: Mutant, reach: Reach) -> dict[str, Run]:
        """All tests that run the changed statement."""
        return {name: run for name, run in reach.tests_of(mutant).items() if name in self._items}

    def _chosen(self, mutant: Mutant, found: dict[str, Run]) -> dict[str, Run]:
        """The tests to run: those that caught its neighbours, then the quickest."""

        def caught(name: str) -> int:
            return 1000 * self._catchers[mutant.address, name] + self._catchers[mutant.path, name]

        order = sorted(found, key=lambda name: found[name].cost)
        first = [name for name in sorted(order, key=caught, reverse=True)[:8] if caught(name)]
        chosen: dict[str, Run] = {}
        left = self._budget
        for name in dict.fromkeys([*first, *order]):
            left -= found[name].cost
            if left < 0 and chosen:
                break
            chosen[name] = found[name]
        return chosen

    def _fork(self, work: Work) -> Child:
        self._number += 1
        folder = self._folder / str(self._number)
        assert self._pytest is not None
        factory = self._pytest.config._tmp_path_factory  # type: ignore[attr-defined]
        factory._given_basetemp, factory._basetemp = folder / "tests", None
        sys.stdout.flush()
        return Child(folder, work)

    def _start_redis(self) -> None:
        for item in self._items.values():
            known = getattr(item, "_fixtureinfo", None)
            if known is not None:
                self._redis_fixtures.update(known.name2fixturedefs.get("redis_server", ()))
        if not self._redis_fixtures:
            return
        from tests.redis_servers import RedisServer, find_redis

        if find_redis() is None:
            self._say("There is no Redis server here: tests that need one do not look for mutants.")
            return
        for _ in range(self._jobs):
            self._redis.append(RedisServer(self._folder))
            asyncio.run(self._redis[-1].start())

    def _use_redis(self, slot: int) -> int | None:
        """Let the next child find a running server in the place of one of its own."""
        if not self._redis:
            return None
        server = self._redis[slot]
        for definition in self._redis_fixtures:
            definition.cached_result = (server, None, None)
        return int(server.port)


async def _restart(server: Any) -> None:
    """A script of a mutant may run in a server for ever."""
    await server.kill()
    await server.start()


class _Recording:
    """A file of tests that is recorded."""

    def __init__(self, name: str, child: Child) -> None:
        self.name = name
        self.child = child
        self.recorded: Recorded | None = None
        self._deadline = time.monotonic() + _RECORDING

    def look(self) -> bool:
        """Whether it has ended.

        Raises:
            RuntimeError: the process broke.
        """
        for kind, *rest in self.child.messages():
            if kind == "begin":
                self._deadline = time.monotonic() + _RECORDING
            elif kind == "recorded":
                self.recorded = rest[0]
            elif kind == "broken":
                raise RuntimeError(f"{self.name} could not be recorded: {rest[0]}")
            else:
                return True
        return time.monotonic() > self._deadline


class _Judged:
    """A mutant that tests run on."""

    def __init__(
        self,
        mutant: Mutant,
        tests: dict[str, Run],
        reaching: Iterable[str],
        child: Child,
        patience: float,
    ) -> None:
        self.mutant = mutant
        self.child = child
        self.verdict: Verdict | None = None
        self._tests = list(tests.items())
        self._reaching = reaching
        self._at = -1
        self._patience = patience
        self._deadline = time.monotonic() + 2 * patience

    def look(self) -> bool:
        """Whether there is a verdict.

        Raises:
            RuntimeError: the process broke before a test was run.
        """
        for kind, *rest in self.child.messages():
            if kind == "begin":
                self._at = rest[0]
                seconds = _TIMES * self._tests[self._at][1].seconds
                self._deadline = time.monotonic() + seconds + self._patience
            elif kind == "broken" and self._at < 0:
                raise RuntimeError(f"No test could be run: {rest[0]}")
            elif kind in ("broken", "ended"):
                return self._end(outcomes.CAUGHT, self._running, "The process ended.")
            else:  # "caught", "survived" or "unfit"
                return self._end(kind, *rest)
        if time.monotonic() <= self._deadline:
            return False
        return self._end(outcomes.TIMED_OUT, self._running, "It did not end in time.")

    @property
    def _running(self) -> str:
        return self._tests[max(self._at, 0)][0]

    def _end(self, outcome: str, by: str = "", how: str = "") -> bool:
        tests = [by] if by else self._reaching
        self.verdict = _verdict(self.mutant, outcome, tests, by, how, self._at + 1)
        return True


def _verdict(
    mutant: Mutant, outcome: str, tests: Iterable[str], by: str = "", how: str = "", ran: int = 0
) -> Verdict:
    return Verdict(outcome, by, how, ran, fingerprint(mutant), evidence(tests))
