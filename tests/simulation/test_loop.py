"""The loop: whose turn it is, what time it is, and what freezing and killing mean."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from .loop import NeverEnds, Process, current
from .small_world import live, loop_of_now, walk
from .stuck import Stuck, watched

SEEDS = range(20)


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


@pytest.mark.parametrize("seed", SEEDS)
def test_the_turns_of_one_process_keep_the_order_of_a_real_loop(seed: int) -> None:
    real: list[str] = []

    async def alone() -> None:
        await asyncio.gather(walk(real, "Ax"), walk(real, "Ay"))

    asyncio.run(alone())
    assert [step for step in several_walk(seed) if step.startswith("A")] == real


def test_turns_between_processes_depend_on_the_seed_and_on_nothing_else() -> None:
    orders = [several_walk(seed) for seed in SEEDS]
    assert orders == [several_walk(seed) for seed in SEEDS]
    assert len({tuple(order) for order in orders}) > len(SEEDS) // 2


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


def test_every_turn_takes_a_moment() -> None:
    async def main() -> list[float]:
        moments = []
        for _ in range(10):
            await asyncio.sleep(0)
            moments.append(loop_of_now().time())
        return moments

    moments = live(main)
    assert all(one < other for one, other in itertools.pairwise(moments))
    assert moments[-1] < 0.001


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
        (everybody_waits, "Everybody waits for somebody else"),
        (the_only_one_is_frozen, "Everybody waits for somebody else"),
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


# --- what would be chance ------------------------------------------------------------------------


def order_in_a_set() -> list[str]:
    async def main() -> list[str]:
        kept = [bytearray(size) for size in range(0, 5000, 7)]  # addresses move
        tasks = {asyncio.create_task(asyncio.sleep(1), name=f"t{n}") for n in range(50)}
        done, _ = await asyncio.wait(tasks)
        assert kept
        return [task.get_name() for task in (*tasks, *done)]

    return live(main)


def test_tasks_in_sets_come_in_the_same_order_every_time() -> None:
    first = order_in_a_set()
    addresses = [object() for _ in range(12_345)]
    assert order_in_a_set() == first
    assert addresses


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
