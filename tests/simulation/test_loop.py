"""The loop: whose turn it is, what time it is, and what freezing and killing mean.

That nothing in it is left to chance is proved by `test_hunt`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from .loop import WORLD, NeverEnds, Process, current
from .small_world import live, loop_of_now, walk
from .stuck import Stuck, watched


def several_walk(seed: int) -> list[str]:
    """Two tasks in each of three processes. Returns the order of their steps."""

    async def main() -> list[str]:
        seen: list[str] = []
        tasks = [
            process.spawn(walk(seen, f"{process.name}{task}"), f"{process.name}{task}")
            for process in (Process("A"), Process("B"), Process("C"))
            for task in "xy"
        ]
        await asyncio.wait(tasks)
        return seen

    return live(main, seed)


# --- turns ---------------------------------------------------------------------------------------


def test_the_turns_of_one_process_keep_the_order_of_a_real_loop() -> None:
    real: list[str] = []

    async def alone() -> None:
        await asyncio.gather(walk(real, "Ax"), walk(real, "Ay"))

    asyncio.run(alone())
    for seed in range(20):
        assert [step for step in several_walk(seed) if step.startswith("A")] == real


def test_any_process_may_be_far_ahead_of_another_one() -> None:
    orders = [several_walk(seed) for seed in range(200)]
    firsts = {order[0][0] for order in orders}
    lasts = {order[-1][0] for order in orders}
    assert firsts == lasts == {"A", "B", "C"}


def test_tasks_timers_and_wake_ups_belong_to_the_process_that_made_them() -> None:
    async def main() -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        loop, process = loop_of_now(), Process("A")
        news = loop.create_future()

        def note(what: str) -> None:
            seen.append((what, current().name))

        async def inner() -> None:
            note("task of a task")

        async def outer() -> None:
            note("task")
            loop.call_later(1, note, "timer")
            loop.call_soon(note, "callback")
            await asyncio.create_task(inner())
            await news
            note("woken by the world")

        task = process.spawn(outer(), "outer")
        await asyncio.sleep(2)
        note("the world")
        news.set_result(None)
        await task
        return seen

    seen = dict(live(main))
    assert seen.pop("the world") == "world"
    assert seen == dict.fromkeys(
        ("task", "task of a task", "timer", "callback", "woken by the world"), "A"
    )


# --- time ----------------------------------------------------------------------------------------


def test_time_jumps_to_the_next_timer_and_timers_keep_their_order() -> None:
    async def main() -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        loop = loop_of_now()

        def note(what: str) -> None:
            seen.append((what, int(loop.time())))

        for hours in (30, 10, 20):
            loop.call_later(hours * 3600, note, f"{hours} h")
        loop.call_later(15 * 3600, note, "cancelled").cancel()
        await asyncio.sleep(31 * 3600)
        return seen

    assert live(main) == [("10 h", 36_000), ("20 h", 72_000), ("30 h", 108_000)]


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
def test_a_history_without_an_end_is_told(main: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(NeverEnds, match=sentence):
        live(main, most_turns=1000, horizon=50_000)


def test_a_turn_that_does_not_end_is_told_with_its_place() -> None:
    async def main() -> None:
        async def spins() -> None:
            try:
                while True:
                    pass
            except Exception:  # noqa: BLE001 - as a product might
                return

        await Process("A").spawn(spins(), "spins")

    told = r"does not end within 0\.2 s: test_loop\.py, line "
    with pytest.raises(Stuck, match=told), watched(0.2):
        live(main)


# --- what a loop of processes must not lose ----------------------------------------------------


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(print, "from a thread")

    with pytest.raises(AssertionError, match="must not use threads"):
        live(main)


def test_what_nobody_holds_is_closed_in_the_process_that_lives() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def words() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                seen.append(current().name)

        async def leaves_it_open() -> None:
            async for _ in words():
                break

        await Process("A").spawn(leaves_it_open(), "leaves")
        await asyncio.sleep(1)
        return seen

    assert live(main) == ["A"]


def test_an_error_that_nobody_takes_is_among_the_complaints() -> None:
    async def main() -> list[str]:
        def fail() -> None:
            raise ValueError("nobody takes this")

        loop_of_now().call_soon(fail)
        await asyncio.sleep(1)
        return [repr(about["exception"]) for about in loop_of_now().complaints]

    assert live(main) == ["ValueError('nobody takes this')"]


async def forever(seen: list[float], every: float = 1.0) -> None:
    while True:
        await asyncio.sleep(every)
        seen.append(loop_of_now().time())


# --- frozen --------------------------------------------------------------------------------------


def test_a_frozen_process_has_no_turns_and_gets_what_was_due_after_it_thaws() -> None:
    async def main() -> tuple[list[float], list[float], int, int]:
        frozen, other = Process("A"), Process("B")
        ticks: list[float] = []
        others: list[float] = []
        frozen.spawn(forever(ticks), "ticks")
        other.spawn(forever(others), "others")
        await asyncio.sleep(2.5)
        frozen.frozen, before = True, frozen.turns
        await asyncio.sleep(10)
        at_rest = frozen.turns
        frozen.frozen = False
        await asyncio.sleep(2)
        return ticks, others, before, at_rest

    ticks, others, before, at_rest = live(main)
    assert before == at_rest
    assert [round(tick, 2) for tick in ticks] == [1.0, 2.0, 12.5, 13.5]
    assert len(others) == 14


# --- dead ----------------------------------------------------------------------------------------


class Estate:
    """A process with everything that could run once more when it dies."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.process = Process("A")
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.process.spawn(self._main(), "main")

    async def _main(self) -> None:
        loop, note = asyncio.get_running_loop(), self.seen.append
        loop.call_later(5, note, "timer")
        self.news.add_done_callback(lambda _: note("done callback"))
        asyncio.create_task(self._waits(self.news), name="waits").add_done_callback(
            lambda _: note("end of a task")
        )
        self.words = self._says()
        await anext(self.words)
        loop.call_soon(self._writes_a_last_word)
        await self._waits(asyncio.sleep(5))

    async def _waits(self, something: Awaitable[None]) -> None:
        try:
            await something
            self.seen.append("went on")
        except BaseException as error:
            self.seen.append(f"caught {error!r}")
            raise
        finally:
            self.seen.append("finally")

    async def _says(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            self.seen.append("the end of a generator")

    def _writes_a_last_word(self) -> None:
        self.process.kill()
        asyncio.get_running_loop().call_soon(self.seen.append, "a callback behind its death")


def test_a_killed_process_runs_nothing_more() -> None:
    async def main() -> list[str]:
        estate = Estate()
        await asyncio.sleep(1)
        assert estate.process.dead
        turns = estate.process.turns
        estate.news.set_result(None)
        del estate.words
        await asyncio.sleep(100)
        gc.collect()
        await asyncio.sleep(100)
        assert estate.process.turns == turns
        return estate.seen

    assert live(main) == []


def test_what_a_killed_process_would_run_does_run_in_one_that_lives() -> None:
    """The control of the test before."""

    async def main() -> list[str]:
        estate = Estate()
        estate.process.kill = lambda: None  # type: ignore[method-assign]
        await asyncio.sleep(1)
        estate.news.set_result(None)
        del estate.words
        await asyncio.sleep(100)
        return estate.seen

    assert sorted(live(main)) == sorted(
        [
            *("timer", "done callback", "end of a task", "the end of a generator"),
            *("went on", "finally") * 2,
            "a callback behind its death",
        ]
    )


@pytest.mark.parametrize("turn", range(1, 6))
def test_an_error_that_died_before_anybody_heard_of_it_is_no_complaint(turn: int) -> None:
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


def test_a_frozen_process_can_be_killed_and_never_thaws() -> None:
    async def main() -> list[float]:
        ticks: list[float] = []
        process = Process("A")
        process.spawn(forever(ticks), "ticks")
        await asyncio.sleep(1.5)
        process.frozen = True
        await asyncio.sleep(2)
        process.kill()
        process.frozen = False
        await asyncio.sleep(10)
        return ticks

    assert len(live(main)) == 1


@pytest.mark.parametrize("turn", [1, 2, 7])
def test_a_scheduled_fault_strikes_before_the_turn_that_it_names(turn: int) -> None:
    async def main() -> tuple[list[str], int]:
        seen: list[str] = []
        process = Process("A")
        process.schedule = [(turn, process.kill)]
        process.spawn(walk(seen, "A", 20), "A")
        await asyncio.sleep(1)
        return seen, process.turns

    seen, turns = live(main)
    assert turns == turn
    assert len(seen) == turn - 1


def test_nothing_is_lost_when_a_process_freezes_at_one_of_its_turns_and_thaws() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        process, loop = Process("A"), loop_of_now()

        def freeze() -> None:
            process.frozen = True
            loop.call_later(5, setattr, process, "frozen", False, context=WORLD.context)

        process.schedule = [(6, freeze), (3, freeze)]  # the next one last
        await process.spawn(walk(seen, "A", 10), "A")
        assert 10 < loop.time() < 10.001
        return seen

    assert live(main) == [f"A{step}" for step in range(10)]
