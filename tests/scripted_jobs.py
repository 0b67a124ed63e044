"""A provider that keeps answers as jobs, in the loop's own time, and the sources that ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Event, Finish, Job, Prompt, TextDelta

from .scripted_source import PROVIDER_TEXT


@dataclass
class KeptJob:
    """One job.

    Attributes:
        begun: the loop's time.
        ended: whether somebody wanted to end it.
    """

    id: str
    begun: float
    ended: bool = False


@dataclass
class Keeper:
    """The provider. It says the same to everybody, and it goes on whether anybody listens or not.

    Attributes:
        says: the events of every job, the end included.
        every: seconds between them.
        window: seconds after its beginning when a job is gone.
        deaf: how many calls to end a job fail before one is heard.
        slow: seconds that such a call takes.
        mark_every: events between two marks; 0 for none.
        cuts: after how many events each stream is cut, in the order of the streams; then none is.
        stuck: the ids of jobs that say nothing more.
        asked: every prompt, in order.
        cancels: the ids of the jobs that somebody wanted to end, in order.
    """

    says: Sequence[Event]
    every: float = 1.0
    window: float = 600.0
    deaf: int = 0
    slow: float = 0.0
    mark_every: int = 0
    cuts: list[int] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    asked: list[Prompt] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    jobs: dict[str, KeptJob] = field(default_factory=dict)

    @property
    def begun(self) -> list[Prompt]:
        """The prompts that were answered from the start, by a job of their own."""
        return [prompt for prompt in self.asked if prompt.job is None and not prompt.said]

    @property
    def listened(self) -> list[Job]:
        """The jobs that were listened to again."""
        return [prompt.job for prompt in self.asked if prompt.job is not None]

    @property
    def running(self) -> list[str]:
        """The jobs that nobody has ended and that are not done."""
        now = asyncio.get_running_loop().time()
        length = self.every * len(self.says)
        return [job.id for job in self.jobs.values() if not job.ended and now < job.begun + length]


class KeptSource:
    """The source of one process.

    Args:
        keeper: the provider, which all share.
        can_prefill: whether it says that it continues.

    Attributes:
        open: how many generators are open now.
    """

    def __init__(self, keeper: Keeper, *, can_prefill: bool = False) -> None:
        self._keeper = keeper
        self._can_prefill = can_prefill
        self.open = 0

    def can_prefill(self, model: str) -> bool:
        """Whether it was said so."""
        return self._can_prefill

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """What the job says; or, of a prompt with a beginning, the rest of the text."""
        keeper = self._keeper
        keeper.asked.append(prompt)
        self.open += 1
        try:
            if prompt.said:
                yield TextDelta(text_of(keeper.says).removeprefix(prompt.said))
                yield Finish(reason="stop", metadata={})
                return
            async for event in self._listen(prompt.job):
                yield event
        finally:
            self.open -= 1

    async def _listen(self, wanted: Job | None) -> AsyncGenerator[Event, None]:
        keeper, loop = self._keeper, asyncio.get_running_loop()
        cut = keeper.cuts.pop(0) if keeper.cuts else -1
        if wanted is None:
            wanted = Job(f"job-{len(keeper.jobs) + 1}")
            keeper.jobs[wanted.id] = KeptJob(wanted.id, loop.time())
            yield wanted
        job = keeper.jobs.get(wanted.id)
        if job is None or loop.time() - job.begun >= keeper.window:
            raise over()
        begin = int(wanted.mark or 0)
        for number in range(begin, len(keeper.says)):
            if number - begin == cut:
                return
            await asyncio.sleep(max(0.0, job.begun + (number + 1) * keeper.every - loop.time()))
            if job.ended:
                raise over()
            if job.id in keeper.stuck:
                await loop.create_future()
            yield keeper.says[number]
            if keeper.mark_every and (number + 1) % keeper.mark_every == 0:
                yield Job(job.id, str(number + 1))

    async def cancel(self, job: Job) -> None:
        """End a job."""
        keeper = self._keeper
        keeper.cancels.append(job.id)
        await asyncio.sleep(keeper.slow)
        if keeper.deaf > 0:
            keeper.deaf -= 1
            raise ModelError("Busy.", retryable=True, detail=PROVIDER_TEXT)
        if job.id in keeper.jobs:
            keeper.jobs[job.id].ended = True

    async def close(self) -> None:
        """Nothing to let go of."""


def over() -> ModelError:
    """What listening to a job that is over comes to."""
    return ModelError("It is gone.", retryable=True, job_over=True, detail=PROVIDER_TEXT)


def text_of(events: Sequence[Event]) -> str:
    """The text of them."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))
