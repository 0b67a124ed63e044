"""Timeouts, retries and concurrency of a worker."""

from __future__ import annotations

import random

from msgspec import Struct

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.store import Bounds

from .continuation import Mode


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of a worker and of the runs that it executes. Times are seconds.

    Attributes:
        lease: how long a claim lasts without a heartbeat; there are five heartbeats for each lease.
        poll: how often a worker looks for runs to claim.
        concurrent_runs: how many runs a process executes at once; more wait in the queue.
        per_owner: how many runs of one owner run at once in the store, in all processes together.
        waiting_per_owner: how many more of an owner may wait; others are refused.
        queue: how many runs of all owners may wait in the store.
        attempts: how many attempts are made before a run fails.
        context_tokens: how many tokens of a conversation the model is sent, by the estimate of
            `tokens.estimated`; 0 for all. See `model_context`.
        continues: the partial answers that a model is asked in words to continue, see
            `continuation.may_continue`.
        first_token: timeout from the request, or from the last sign of life, to the first token of
            an attempt.
        thinking: timeout from the request to the first token, whatever the signs of life.
        next_token: timeout from one token to the next.
        whole_run: timeout from a run's start to its end, all attempts together.
        backoff, longest_backoff: the first delay between attempts, and the longest one.
        longest_wait: the longest delay that a provider may ask for; if it asks for more, the run
            fails at once.
        grace: how long running attempts may go on in a planned end, see `Worker.finish`; 0 gives
            their runs back at once.
        shutdown_timeout: how long each step of a planned end may take; half a lease at most.
    """

    lease: float = 5.0
    poll: float = 0.5
    concurrent_runs: int = 1000
    per_owner: int = 500
    waiting_per_owner: int = 5000
    queue: int = 10_000
    attempts: int = 5
    context_tokens: int = 32_000
    continues: Mode = "on"
    first_token: float = 120.0
    thinking: float = 900.0
    next_token: float = 60.0
    whole_run: float = 3600.0
    backoff: float = 0.5
    longest_backoff: float = 30.0
    longest_wait: float = 120.0
    grace: float = 5.0
    shutdown_timeout: float = 5.0

    @property
    def bounds(self) -> Bounds:
        """What holds when a message is accepted."""
        active = self.per_owner + self.waiting_per_owner
        return Bounds(running=self.per_owner, active=active, waiting=self.queue)

    def delay(self, failures: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds to wait before the next attempt, at least what the provider asked for."""
        delay = Backoff(self.backoff, self.longest_backoff).delay(failures, rng.random)
        return delay if retry_after is None else max(delay, retry_after)

    @property
    def shutdown_seconds(self) -> float:
        """How long a step of a planned end may take: shorter than a lease."""
        return min(self.shutdown_timeout, self.lease / 2)
