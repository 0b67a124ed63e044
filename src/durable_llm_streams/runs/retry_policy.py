"""After a failed attempt: whether to retry, and on which rung.

Theory of operation
===================
1. A rung that the provider refused costs no attempt. A rung on which attempts add nothing is not
   chosen again.
2. What would fail again is not retried. This is a failure that is not `retryable`, one with too
   long a `retry_after`, and a second timeout in a row without new output.
3. A job is kept for the next attempt to reattach. It is cancelled when it diverged from the log, or
   when it stays silent and the last attempt should be a new request.
"""

from __future__ import annotations

from durable_llm_streams.errors import ModelError
from durable_llm_streams.fold import Fold
from durable_llm_streams.source import ContinuingSource, Job, Source

from .attempt import Stalled
from .continuation import Mode
from .jobs import Jobs
from .ladder import Diverged, Step, choose
from .limits import Limits

_MAX_UNPRODUCTIVE = 2
_MAX_STALLS = 2


class RetryPolicy:
    """The retry policy of one run.

    Args:
        source: where the answer comes from.
        model: the model.
        jobs: cancels jobs.
        limits: see `Limits`.

    Attributes:
        job: the job that produces the answer, if the next attempt can reattach to it.
    """

    def __init__(self, source: Source, model: str, jobs: Jobs, limits: Limits) -> None:
        self._jobs = jobs
        self._limits = limits
        self._prefill = source.can_prefill(model)
        self._continues = _continues(source, model, limits.continues)
        self._unproductive = 0  # attempts in a row that went on from a text and added nothing
        self._stalls = 0  # attempts in a row that timed out without new output
        self.job: Job | None = None

    def choose(self, fold: Fold) -> Step:
        """The best rung for the next attempt."""
        return choose(
            fold,
            reattach=self.job is not None,
            prefill=self._prefill,
            continues=self._continues,
        )

    def is_retryable(self, failure: ModelError) -> bool:
        """Whether another attempt may help."""
        if (failure.retry_after or 0.0) > self._limits.longest_wait:
            return False
        return failure.retryable and self._stalls < _MAX_STALLS

    async def record_failure(
        self, step: Step, attempt: int, failure: ModelError, *, wrote: bool
    ) -> bool:
        """Take a failure into account: a rung that does not help is not chosen again.

        Args:
            step: how the attempt began.
            attempt: its number.
            failure: how it failed.
            wrote: whether it wrote anything to the log.

        Returns:
            Whether only the rung was refused, which costs no attempt.
        """
        goes_on = step.rung in ("reattach", "prefill", "continue")
        has_stalled = isinstance(failure, Stalled) and not (goes_on and wrote)
        self._stalls = self._stalls + 1 if has_stalled else 0
        await self._keep_or_cancel_job(step, attempt, failure, wrote=wrote)
        if step.rung not in ("prefill", "continue"):
            return step.job is not None and self.job is None and not wrote
        self._unproductive = 0 if wrote else self._unproductive + 1
        refused = failure.refused_rung and not wrote
        is_last_attempt_next = self._unproductive and attempt + 1 >= self._limits.attempts
        if refused or is_last_attempt_next or self._unproductive >= _MAX_UNPRODUCTIVE:
            self._unproductive = 0
            if step.rung == "prefill":
                self._prefill = False
            else:
                self._continues = "off"
        return refused

    async def _keep_or_cancel_job(
        self, step: Step, attempt: int, failure: ModelError, *, wrote: bool
    ) -> None:
        """Cancel the job if the next attempt must not reattach to it."""
        if self.job is None:
            return
        unproductive = step.job is not None and not wrote
        last = attempt + 1 >= self._limits.attempts  # it is to be a new request
        if failure.job_over:
            self.job = None
        elif isinstance(failure, Diverged) or (
            unproductive and (last or isinstance(failure, Stalled))
        ):
            await self._jobs.end(self.job)
            self.job = None


def _continues(source: Source, model: str, mode: Mode) -> Mode:
    able = isinstance(source, ContinuingSource) and source.can_continue(model)
    return mode if able else "off"
