"""The loop: whose turn it is, and what freezing and killing mean. `test_hunt` has the rest."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from .loop import WORLD, NeverEnds, Process, current
from .small_world import live, loop_of_now
from .stuck import Stuck, watched


async def walk(seen: list[str], name: str, steps: int = 5) -> None:
    """Note every step, and let others have a turn behind each."""
    for step in range(steps):
        seen.append(f"{name}{step}")
        await asyncio.sleep(0)


def several_walk(seed: int) -> list[str]:
    """Two tasks in each of three processes. Returns the order of their steps."""

    async def main() -> list[str]:
        seen: list[str] = []
        await asyncio.wait(
            [
                process.spawn(walk(seen, f"{process.name}{task}"), task)
                for process in map(Process, "ABC")
                for task in "xy"
            ]
        )
        return seen

    return live(main, seed)


def test_a_process_keeps_a_real_loops_order_and_any_may_be_far_ahead() -> None:
    real: list[str] = []

    async def alone() -> None:
        await asyncio.gather(walk(real, "Ax"), walk(real, "Ay"))

    asyncio.run(alone())
    orders = [several_walk(seed) for seed in range(200)]
    for order in orders:
        assert [step for step in order if step.startswith("A")] == real
    assert {order[0][0] for order in orders} == {order[-1][0] for order in orders} == set("ABC")


# --- ends that do not come -----------------------------------------------------------------------


async def everybody_waits() -> None:
    await asyncio.get_running_loop().create_future()


async def the_only_one_is_frozen() -> None:
    process = Process("A")
    process.frozen = True
    await process.spawn(asyncio.sleep(1), "sleeps")


async def runs_in_circles() -> None:
    while True:
        await asyncio.sleep(0)


async def takes_too_long() -> None:
    while True:
        await asyncio.sleep(3600)


@pytest.mark.parametrize(
    ("main", "sentence"),
    [
        (everybody_waits, "Every task waits for another one"),
        (the_only_one_is_frozen, "Every task waits for another one"),
        (runs_in_circles, "It has taken 1001 turns"),
        (takes_too_long, "not at its end after 50000 seconds"),
    ],
)
def test_a_history_without_an_end_is_reported(main: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(NeverEnds, match=sentence):
        live(main, most_turns=1000, horizon=50_000)


def test_a_turn_that_does_not_end_is_reported_with_its_place() -> None:
    async def main() -> None:
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001 - as a product might
            return

    expected = r"does not end within 0\.2 s: test_loop\.py, line "
    with pytest.raises(Stuck, match=expected), watched(0.2):
        live(main)


def test_threads_are_refused_and_unretrieved_errors_are_complaints() -> None:
    async def main() -> list[str]:
        def fail() -> None:
            raise ValueError("nobody takes this")

        with pytest.raises(AssertionError, match="must not use threads"):
            await asyncio.to_thread(print, "from a thread")
        loop_of_now().call_soon(fail)
        await asyncio.sleep(1)
        return [repr(about["exception"]) for about in loop_of_now().complaints]

    assert live(main) == ["ValueError('nobody takes this')"]


# --- frozen and dead -----------------------------------------------------------------------------


def test_a_frozen_process_has_no_turns_and_gets_what_was_due_after_it_thaws() -> None:
    async def main() -> None:
        process, ticks = Process("A"), list[float]()

        async def tick() -> None:
            while True:
                await asyncio.sleep(1)
                ticks.append(round(loop_of_now().time(), 2))

        process.spawn(tick(), "ticks")
        await asyncio.sleep(2.5)
        process.frozen, before = True, process.turns
        await asyncio.sleep(10)
        assert process.turns == before
        process.frozen = False
        await asyncio.sleep(2)
        assert ticks == [1.0, 2.0, 12.5, 13.5]
        process.frozen = True
        await asyncio.sleep(2)
        process.kill()
        process.frozen = False
        await asyncio.sleep(10)
        assert ticks == [1.0, 2.0, 12.5, 13.5], "a process that was killed has thawed"

    live(main)


class Estate:
    """A process with every kind of finalizer that its death could trigger."""

    def __init__(self, *, dies: bool) -> None:
        self.seen: list[tuple[str, str]] = []
        self.process = Process("A")
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dies = dies
        self.process.spawn(self._main(), "main")

    def note(self, what: str) -> None:
        self.seen.append((what, current().name))

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(5, self.note, "timer")
        self.news.add_done_callback(lambda _: self.note("done callback"))
        asyncio.create_task(self._waits(self.news)).add_done_callback(
            lambda _: self.note("end of a task")
        )
        self.words = self._says()
        await anext(self.words)
        loop.call_soon(self._writes_a_last_word)
        await self._waits(asyncio.sleep(5))

    async def _waits(self, something: Awaitable[None]) -> None:
        try:
            await something
            self.note("went on")
        finally:
            self.note("finally")

    async def _says(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            self.note("the end of a generator")

    def _writes_a_last_word(self) -> None:
        if self._dies:
            self.process.kill()
        asyncio.get_running_loop().call_soon(self.note, "a callback behind its death")


@pytest.mark.parametrize("dies", [True, False])
def test_a_killed_process_runs_nothing_of_what_a_living_one_would(dies: bool) -> None:
    async def main() -> list[tuple[str, str]]:
        estate = Estate(dies=dies)
        await asyncio.sleep(1)
        assert estate.process.dead is dies
        estate.news.set_result(None)
        del estate.words
        await asyncio.sleep(100)
        gc.collect()
        await asyncio.sleep(100)
        return estate.seen

    once = ("timer", "done callback", "end of a task", "the end of a generator")
    lived = [*once, *("went on", "finally") * 2, "a callback behind its death"]
    assert sorted(live(main)) == ([] if dies else sorted((what, "A") for what in lived))


@pytest.mark.parametrize("turn", range(1, 6))
def test_an_error_of_a_process_that_died_first_is_no_complaint(turn: int) -> None:
    async def main() -> list[dict[str, Any]]:
        async def fails() -> None:
            raise ValueError("nobody lives to hear this")

        process = Process("A")
        process.schedule = [(turn, process.kill)]
        process.spawn(fails(), "fails").add_done_callback(
            lambda task: task.exception(), context=process.context
        )
        await asyncio.sleep(1)
        return loop_of_now().complaints

    assert live(main) == []


def test_a_scheduled_fault_strikes_before_the_turn_that_it_names() -> None:
    async def main() -> None:
        seen: list[str] = []
        process, loop = Process("A"), loop_of_now()

        def freeze() -> None:
            process.frozen = True
            loop.call_later(5, setattr, process, "frozen", False, context=WORLD.context)

        process.schedule = [(7, process.kill), (3, freeze)]  # the next one last
        process.spawn(walk(seen, "A", 20), "A")
        for seconds, steps in ((1, 2), (6, 5), (10, 5)):
            await asyncio.sleep(seconds)
            assert seen == [f"A{step}" for step in range(steps)], f"at {loop.time()} s"

    live(main)
