"""What freezing and killing a process of the loop means: for it, and for the others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import pytest

from .loop import WORLD, Process
from .small_world import live, loop_of_now, walk


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


def test_what_became_due_in_a_frozen_process_keeps_its_order() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        process, loop = Process("A"), loop_of_now()
        for seconds in (3, 1, 2):
            loop.call_later(seconds, seen.append, seconds, context=process.context)
        process.frozen = True
        await asyncio.sleep(10)
        assert seen == []
        loop.call_soon(seen.append, 10, context=process.context)
        process.frozen = False
        await asyncio.sleep(1)
        return seen

    assert live(main) == [1, 2, 3, 10]


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


def test_the_other_processes_go_on_when_one_dies() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        one, other = Process("A"), Process("B")
        one.spawn(walk(seen, "A", 1000), "A")
        task = other.spawn(walk(seen, "B", 100), "B")
        await asyncio.sleep(0.0001)
        one.kill()
        await task
        return seen

    seen = live(main)
    assert [step for step in seen if step.startswith("B")] == [f"B{step}" for step in range(100)]
    assert 0 < len(seen) - 100 < 100


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
