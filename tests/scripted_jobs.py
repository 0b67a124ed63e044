"""A provider that keeps answers as jobs, in the loop's own time, and the sources that ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Event, Finish, Job, Prompt, TextDelta

from .scripted_source import PROVIDER_TEXT, Do, Done, Scene, ScriptedSource, Tell

END = Finish(reason="stop", metadata={"usage": {"outputTokens": 22}})


def says(text: str, piece: int = 3) -> list[Event]:
    """A text in pieces, and the end."""
    return [*(TextDelta(text[at : at + piece]) for at in range(0, len(text), piece)), END]


@dataclass
class Keeper:
    """The provider. Every reader gets the same, and it continues with or without readers.

    Attributes:
        says: the events of every job, the end included.
        every: seconds between them.
        window: seconds after its beginning when a job is gone.
        deaf: how many calls to cancel a job fail before one succeeds.
        slow: seconds that such a call takes.
        mark_every: events between two marks; 0 for none.
        cuts: after how many events each stream is cut, in the order of the streams; then none is.
        stuck: the ids of jobs that say nothing more.
        asked: every prompt, in order.
        cancels: the ids of the jobs for which a cancel arrived, in order.
        jobs: when each job began, in the loop's time.
        ended: the ids of those that were ended.
        deleted: the ids of the jobs for which a deletion arrived, in order.
        keeps: how many deletions fail before one succeeds.
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
    jobs: dict[str, float] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)
    keeps: int = 0

    @property
    def listened(self) -> list[Job]:
        """The jobs that were reattached to."""
        return [prompt.job for prompt in self.asked if prompt.job is not None]


class KeptSource(ScriptedSource):
    """The source of one process.

    Args:
        keeper: the provider, which all share.
        can_prefill: whether it declares that it continues.
    """

    def __init__(self, keeper: Keeper, *, can_prefill: bool = False) -> None:
        super().__init__(by_prompt=self._answer, can_prefill=can_prefill)
        self._keeper = keeper

    def _answer(self, prompt: Prompt) -> Scene:
        self._keeper.asked.append(prompt)
        if not prompt.prefill:
            return [Listen(self._keeper)]
        texts = [event.text for event in self._keeper.says if isinstance(event, TextDelta)]
        return [Tell("".join(texts)), Done()]

    async def cancel(self, job: Job) -> None:
        """End a job."""
        keeper = self._keeper
        keeper.cancels.append(job.id)
        await asyncio.sleep(keeper.slow)
        if keeper.deaf > 0:
            keeper.deaf -= 1
            raise ModelError("Busy.", retryable=True, detail=PROVIDER_TEXT)
        keeper.ended.add(job.id)


class StoredSource(KeptSource):
    """The source of one process, of a provider that stores jobs after their end."""

    async def delete_job(self, job: Job) -> None:
        """Delete a job."""
        keeper = self._keeper
        keeper.deleted.append(job.id)
        if keeper.keeps > 0:
            keeper.keeps -= 1
            raise ModelError("Busy.", retryable=True, detail=PROVIDER_TEXT)


class Listen(Do):
    """Stream a job's events: of the prompt's job, or of a new one."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        keeper, loop, job = self.keeper, asyncio.get_running_loop(), prompt.job
        cut = keeper.cuts.pop(0) if keeper.cuts else -1
        if job is None:
            job = Job(f"job-{len(keeper.jobs) + 1}")
            keeper.jobs[job.id] = loop.time()
            yield job
        over = ModelError("It is gone.", retryable=True, job_over=True, detail=PROVIDER_TEXT)
        if job.id not in keeper.jobs or loop.time() - keeper.jobs[job.id] >= keeper.window:
            raise over
        begin = int(job.mark or 0)
        for number in range(begin, len(keeper.says)):
            if number - begin == cut:
                return
            due = keeper.jobs[job.id] + (number + 1) * keeper.every
            await asyncio.sleep(max(0.0, due - loop.time()))
            if job.id in keeper.ended:
                raise over
            if job.id in keeper.stuck:
                await loop.create_future()
            yield keeper.says[number]
            if keeper.mark_every and (number + 1) % keeper.mark_every == 0:
                yield Job(job.id, str(number + 1))
