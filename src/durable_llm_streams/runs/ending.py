"""Ending runs: the terminal record, the status and the history, in one step of the store.

A run is ended under a claim. The log is read and folded together with the last records. The store
accepts the result only at the place where the log ends. So the message in the history is always the
fold of the whole log.

A stop claims the run first, in any process. From then on the former writer can write nothing, so no
chunk can follow when the stop returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import fsum
from typing import Any

from durable_llm_streams import chunks
from durable_llm_streams.clock import timestamp
from durable_llm_streams.errors import Fenced, SequenceMismatch, StoreUnavailable
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Epoch, Run, Status
from durable_llm_streams.store import Ending, LogStore, Store

from .settling import settlement

Last = Callable[[Fold], Sequence[bytes]]

_DIGITS = 12  # of a sum of dollars; a token may cost less than a millionth


def opening(run: Run, context: Mapping[str, int] | None = None) -> list[bytes]:
    """The first records of every log.

    Args:
        run: the run.
        context: what the model is sent, see `Context.metadata`; None if it was not asked.
    """
    about: dict[str, Any] = {
        "run": run.id,
        "model": run.model,
        "createdAt": timestamp(run.created_at),
        "status": Status.RUNNING,
    }
    if context is not None:
        about["context"] = context
    return [chunks.start(run.message_id, about), chunks.START_STEP]


def finished(reason: str, about: Mapping[str, Any]) -> Last:
    """The end of an answer that the model finished."""
    return lambda fold: [
        *fold.closing(),
        chunks.FINISH_STEP,
        chunks.finish(reason, {"status": Status.FINISHED, **about, **_asked(fold, about)}),
    ]


def failed(sentence: str, about: Mapping[str, Any]) -> Last:
    """The end of an answer that failed. The text so far is kept."""
    status = {"status": Status.FAILED, "error": sentence}
    return lambda fold: [
        *fold.closing(),
        chunks.metadata({**status, **about, **_asked(fold, about)}),
        chunks.error(sentence),
    ]


def stopped(about: Mapping[str, Any]) -> Last:
    """The end of an answer that was stopped. The text so far is kept."""
    return lambda fold: [
        *fold.closing(),
        chunks.metadata({"status": Status.STOPPED, **about, **_asked(fold, about)}),
        chunks.ABORT,
    ]


def _asked(fold: Fold, last: Mapping[str, Any]) -> dict[str, Any]:
    """The rungs and the cost of all attempts, if there was more than one.

    Args:
        fold: of the log, which has the notices of all finished attempts.
        last: has the `usage` and the `cost` of the last attempt, if they are known.
    """
    if len(fold.ladder) == 1:
        return {}
    known = {name: last[name] for name in ("usage", "cost") if name in last}
    ladder = [*fold.ladder[:-1], fold.ladder[-1] | known]
    costs = [asked["cost"] for asked in ladder if isinstance(asked.get("cost"), int | float)]
    return {"ladder": ladder} | ({"totalCost": round(fsum(costs), _DIGITS)} if costs else {})


async def end(
    log: LogStore,
    run: Run,
    epoch: Epoch,
    status: Status,
    last: Last,
    now: int,
    *,
    at: int | None = None,
) -> Fold:
    """End a run.

    Args:
        log: where its log is.
        run: the run, with what it has reserved.
        epoch: the claim under which it is ended.
        status: the final status.
        last: makes the last records from the fold of the log so far.
        now: the wall clock, in milliseconds.
        at: the expected sequence number of the next record; None for any. A writer gives it, to
            detect that the store has lost some of its records: the message would lack their text.

    Returns:
        The fold of the whole log.

    Raises:
        Fenced: the claim or records before `at` are lost, or the run has ended already.
        RunNotFound: no such run, or it was deleted.
        StoreUnavailable: retry.
    """
    held: list[bytes] = []
    while True:
        page = await log.read(run.id, len(held))
        held += page.records
        if page.status.ended:
            raise Fenced("This run has ended already.")
        if page.last + 1 < page.next_seq:
            continue
        if at is not None and at != page.next_seq:
            raise Fenced("The store has lost records of this run.")
        fold = Fold.of(held)
        records = [] if held else opening(run)
        fold.feed(records)
        closing = last(fold)
        fold.feed(closing)
        records += closing
        charges = settlement(run, fold)
        place = len(held) + 1
        try:
            await log.end(Ending(run.id, epoch, place, records, status, fold.body(), now, charges))
        except SequenceMismatch as error:
            raise StoreUnavailable("The store has lost records of this run.") from error
        return fold


async def stop(store: Store, run: Run, worker: str, lease: float, now: int) -> Fold | None:
    """Stop a run in any process. The text so far is kept.

    Args:
        store: where it is.
        run: the run, as it was found.
        worker: the name of the worker that claims it.
        lease: of that claim, in seconds.
        now: the wall clock, in milliseconds.

    Returns:
        The fold of the whole log; None when the run had ended before.

    Raises:
        RunNotFound: the run was deleted.
        StoreUnavailable: the outcome is unknown; retry.
    """
    if run.status.ended:
        return None
    last = stopped({"timing": {"totalMs": max(0, now - run.created_at)}})
    while True:
        try:
            claim = await store.runs.claim_run(run.id, worker, lease)
        except Fenced:
            return None  # it has ended
        with suppress(Fenced):  # another stop has claimed it since, and may die before the end
            return await end(store.log, claim.run, claim.epoch, Status.STOPPED, last, now)
