"""A seeded event loop for several processes in one: virtual time, chosen turns, sudden death.

Theory of operation
===================
1. Every callback belongs to a process: the one that the context variable `PROCESS` names in the
   callback's context. asyncio hands contexts on to tasks, timers and wake-ups by itself.
2. Each process has its own queue and its callbacks keep their order, as on a real loop. Which
   process has the next turn is drawn from the seed: that is the interleaving of processes.
3. Time passes when all tasks wait: it jumps to the next timer. Each turn takes a moment
   too, so that nothing happens at the same time for ever.
4. A frozen process has no turns; what was due meanwhile waits for it. A dead process has none ever
   again: its tasks stay where they were, and no `finally` of theirs runs. That is what SIGKILL
   means, so they are kept from the garbage collector, too.
5. What a process does in its n-th turn may be its death: `Process.at_turn` is asked before each.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds that a turn takes.
TURN_SECONDS = 2e-6

#: What belonged to dead processes: kept, so that nothing of it is ever finalized.
NEVER_FREED: list[object] = []


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class NeverEnds(Exception):
    """The history does not end: all tasks wait, or something runs in circles."""


class Process:
    """One process of the simulation.

    Attributes:
        name: for the trace.
        frozen, dead: see above.
        turns: how many callbacks it has run.
        ahead: milliseconds that its wall clock is ahead of the true time.
        schedule: what happens at which turn, the next one last.
        tasks: all that were made in it, as long as they are not done.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.frozen = False
        self.dead = False
        self.turns = 0
        self.ahead = 0
        self.schedule: list[tuple[int, Callable[[], None]]] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    def __repr__(self) -> str:
        return f"Process({self.name!r})"

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        loop = asyncio.get_running_loop()
        return self.context.copy().run(loop.create_task, coroutine, name=name)

    def kill(self) -> None:
        self.dead = True
        NEVER_FREED.extend(self.ready)
        NEVER_FREED.extend(self.tasks)
        self.ready.clear()


#: Everything that is no process of ours: clients, the network, the store's server.
WORLD = Process("world")


def current() -> Process:
    """The process whose code runs now."""
    return PROCESS.get(WORLD)


class SimulatedTask(asyncio.Task[T]):
    """A task whose place in a set depends on nothing but its number: the same in every run."""

    _made = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        SimulatedTask._made += 1
        self._number = SimulatedTask._made
        super().__init__(*args, **kwargs)
        process = current()
        process.tasks[self] = None
        self.add_done_callback(lambda task: process.tasks.pop(task, None))

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> SimulatedTask[Any]:
    return SimulatedTask(coroutine, loop=loop, **more)


class _Router:
    """Stands where asyncio's loop keeps its ready callbacks; sorts them by process."""

    def __init__(self) -> None:
        self.processes: dict[Process, None] = {}

    def append(self, handle: asyncio.Handle) -> None:
        process: Process = handle._context.get(PROCESS, WORLD)  # type: ignore[attr-defined]
        if process.dead:
            NEVER_FREED.append(handle)
            return
        process.ready.append(handle)
        self.processes[process] = None

    def clear(self) -> None:
        for process in self.processes:
            process.ready.clear()
        self.processes.clear()

    def __len__(self) -> int:
        return sum(len(process.ready) for process in self.processes)


class SimulationLoop(asyncio.BaseEventLoop):
    """See above.

    Args:
        rng: draws whose turn it is.
        most_turns: a history that takes more ends with `NeverEnds`.
        horizon: seconds of its own time after which it does, too.
    """

    def __init__(self, rng: random.Random, *, most_turns: int, horizon: float) -> None:
        super().__init__()
        self._ready: Any = _Router()
        self._draw = rng.random
        self._most_turns = most_turns
        self._horizon = horizon
        self._seconds = 0.0
        self.turns = 0
        self.complaints: list[dict[str, Any]] = []
        self._timers: list[tuple[float, asyncio.TimerHandle]] = []  # pairs compare faster
        self._owners: dict[int, Process] = {}  # of asynchronous generators, by their ids
        SimulatedTask._made = 0
        WORLD.ready.clear()
        WORLD.tasks.clear()
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda _, about: self.complaints.append(about))

    def time(self) -> float:
        return self._seconds

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, timer))
        return timer

    def _run_once(self) -> None:
        """One turn of one process, or a step ahead in time."""
        runnable = [p for p in self._ready.processes if p.ready and not p.frozen]
        self._seconds += TURN_SECONDS
        if self._timers and self._timers[0][0] <= self._seconds:
            self._release_due(runnable)
        if not runnable:
            self._wait()
            return
        process = runnable[int(self._draw() * len(runnable))]
        process.turns += 1
        self.turns += 1
        if self.turns > self._most_turns:
            raise NeverEnds(f"It has taken {self.turns} turns and is not at its end.")
        if process.schedule and process.schedule[-1][0] <= process.turns:
            process.schedule.pop()[1]()
            if process.dead or process.frozen:
                return
        handle = process.ready.popleft()
        if not handle._cancelled:
            handle._run()

    def _wait(self) -> None:
        timers = self._timers
        while timers and timers[0][1].cancelled():
            heapq.heappop(timers)
        if not timers:
            if self._stopping:  # type: ignore[attr-defined]
                return
            raise NeverEnds("Every task waits for another one, and no timer runs.")
        self._seconds = max(self._seconds, timers[0][0])
        if self._seconds > self._horizon:
            raise NeverEnds(f"It is not at its end after {self._horizon:.0f} seconds.")
        self._release_due([])

    def _release_due(self, runnable: list[Process]) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self._seconds:
            timer = heapq.heappop(timers)[1]
            if not timer.cancelled():
                self._ready.append(timer)
                process = timer._context.get(PROCESS, WORLD)  # type: ignore[attr-defined]
                if not (process.dead or process.frozen) and process not in runnable:
                    runnable.append(process)

    # --- what a loop without sockets and threads does not have -------------------------------

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is no thread to wake."""

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        self._owners[id(agen)] = current()
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """What a live process drops is finalized; after its death, or the end, nothing is."""
        owner = self._owners.pop(id(agen), WORLD)
        if owner.dead or not self.is_running():
            NEVER_FREED.append(agen)
        else:
            owner.spawn(agen.aclose(), "close")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Not here."""
        raise AssertionError(f"A simulated process must not use threads: {func!r}")


def abandon(loop: SimulationLoop) -> None:
    """End a history: nothing of it continues, and nothing is finalized."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        NEVER_FREED.append(task)
    NEVER_FREED.append(loop)
