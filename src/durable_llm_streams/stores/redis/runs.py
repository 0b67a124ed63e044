"""Runs on Redis: accept a message, claim, renew, release, find."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from durable_llm_streams.errors import RunNotFound, StoreUnavailable
from durable_llm_streams.model import Claim, Run
from durable_llm_streams.store import Order, Retention, RunList, RunStore, Sent
from durable_llm_streams.stores.notify import WorkSignal

from . import scripts
from .charges import levels, refused, to_text, words
from .client.script import Script
from .live.following import Following
from .partitions import Partition, Partitions, milliseconds
from .replies import accepted, claim_from, run_from, writer

_HELD = ord("1")
_CLAIMS_PER_CALL = 200
_REMEMBERED = 1000


class RedisRuns(RunStore, RunList):
    """Runs on Redis.

    Args:
        partitions: where they are.
        following: notified of the runs that this process writes.
        work: notified when there may be work.
        retention: how long things are kept.
        clock: the clock argument of scripts: "" for the server's.
        token: draws the token of an epoch.
    """

    def __init__(
        self,
        partitions: Partitions,
        following: Following,
        work: WorkSignal,
        retention: Retention,
        clock: Callable[[], str],
        token: Callable[[], str],
    ) -> None:
        self._partitions = partitions
        self._following = following
        self._work = work
        self._retention = retention
        self._clock = clock
        self._token = token
        self._turn = 0
        self._unconfirmed: dict[Partition, list[str]] = {}  # tokens; see claim.lua

    @override
    async def send(self, order: Order) -> Sent:
        partition = self._partitions.of_chat(order.owner, order.chat_id)
        token = self._token()
        try:
            reply = await partition.call(scripts.SEND, *self._arguments(order, token))
        except StoreUnavailable:
            if order.worker is not None:
                self._unconfirmed.setdefault(partition, []).append(token)
            raise
        charges = (*order.charges, *order.reservation)
        refusal = refused(charges, reply)
        if refusal is not None:
            raise refusal
        found, about = accepted(reply), reply[4:]
        run = run_from(found)
        self._partitions.remember(run.id, partition)
        if reply[0] == b"found":
            return Sent(run, created=False, claim=None)
        left = levels(charges, *about) if about else ()
        if order.worker is None or run.epoch.number == 0:
            return Sent(run, True, None, left)
        claim = claim_from(found)
        self._following.claimed(claim)
        return Sent(run, True, claim, left)

    def _arguments(self, order: Order, token: str) -> tuple[str | bytes | int, ...]:
        return (
            order.owner,
            order.chat_id,
            order.place,
            order.anchor or "",
            order.message_id or "",
            order.body,
            order.run_id,
            order.answer_id,
            order.model,
            order.key or "",
            order.content,
            order.title,
            int(order.shown),
            int(order.queue),
            order.worker or "",
            milliseconds(order.lease),
            order.now,
            self._clock(),
            token,
            milliseconds(self._retention.chat),
            _bounds(order),
            to_text(order.reservation),
            *words((*order.charges, *order.reservation)),
        )

    @override
    async def reserve(self, claim: Claim, times: int) -> Run:
        partition = await self._partitions.of_run(claim.run.id)
        charges = claim.run.charges
        about = (claim.run.id, writer(claim.epoch), times, self._clock())
        reply = await partition.call(scripts.RESERVE, *about, *words(charges))
        refusal = refused(charges, reply)
        if refusal is not None:
            raise refusal
        return run_from(accepted(reply))

    @override
    async def claim(
        self, worker: str, limit: int, lease: float, per_owner: int | None = None
    ) -> Sequence[Claim]:
        # The claims of one partition are kept when another one fails.
        claims: list[Claim] = []
        failure: StoreUnavailable | None = None
        for partition in self._rotated():
            if len(claims) >= limit:
                break
            try:
                more = limit - len(claims)
                claims += await self._claim(partition, worker, more, lease, per_owner)
            except StoreUnavailable as error:
                failure = error
        if failure is not None and not claims:
            raise failure
        if len(self._partitions.all) > 1:
            claims.sort(key=lambda claim: (claim.run.created_at, claim.run.id))
        return claims

    def _rotated(self) -> Sequence[Partition]:
        """The partitions, each time beginning with another one, so that none is always last."""
        partitions = self._partitions.all
        self._turn = (self._turn + 1) % len(partitions)
        return partitions[self._turn :] + partitions[: self._turn]

    async def _claim(
        self, partition: Partition, worker: str, limit: int, lease: float, per_owner: int | None
    ) -> list[Claim]:
        unconfirmed = self._unconfirmed.pop(partition, [])
        tokens = [*unconfirmed, *(self._token() for _ in range(limit))]
        most = "" if per_owner is None else per_owner
        about = (worker, limit, milliseconds(lease), self._clock(), len(unconfirmed), most)
        try:
            replies = await partition.call(scripts.CLAIM, *about, *tokens)
        except StoreUnavailable:
            self._unconfirmed[partition] = tokens[-_REMEMBERED:]
            raise
        claims = [claim_from(reply) for reply in replies]
        for claim in claims:
            self._partitions.remember(claim.run.id, partition)
            self._following.claimed(claim)
        return claims

    @override
    async def claim_run(self, run_id: str, worker: str, lease: float) -> Claim:
        partition = await self._partitions.of_run(run_id)
        reply = await partition.call(
            scripts.CLAIM_RUN, run_id, worker, milliseconds(lease), self._clock(), self._token()
        )
        claim = claim_from(accepted(reply))
        self._following.claimed(claim, ends=True)
        return claim

    @override
    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        arguments = (milliseconds(lease), self._clock())
        lost: list[Claim] = []
        for batch, held in await self._call_in_batches(scripts.RENEW, claims, *arguments):
            lost += [claim for claim, mark in zip(batch, held, strict=True) if mark != _HELD]
        self._following.lost(lost)
        return lost

    @override
    async def release(self, claims: Sequence[Claim]) -> None:
        await self._call_in_batches(scripts.RELEASE, claims)
        self._following.lost(claims)

    async def _call_in_batches(
        self, script: Script, claims: Sequence[Claim], *arguments: str | int
    ) -> list[tuple[list[Claim], Any]]:
        """Run a script for all claims. After a failure it goes on with the other partitions.

        Returns:
            Each batch of claims with the script's reply.

        Raises:
            StoreUnavailable: for some of them the outcome is unknown.
        """
        replies: list[tuple[list[Claim], Any]] = []
        failure: StoreUnavailable | None = None
        for partition, batch in self._batches(claims):
            try:
                reply = await partition.call(script, *arguments, *_names(batch))
            except StoreUnavailable as error:
                failure = error
            else:
                replies.append((batch, reply))
        if failure is not None:
            raise failure
        return replies

    def _batches(self, claims: Sequence[Claim]) -> list[tuple[Partition, list[Claim]]]:
        """The claims by partition, in small batches: a long script would delay the writers."""
        by_partition: dict[Partition, list[Claim]] = {}
        for claim in claims:
            partition = self._partitions.of_chat(claim.run.owner, claim.run.chat_id)
            by_partition.setdefault(partition, []).append(claim)
        return [
            (partition, some[start : start + _CLAIMS_PER_CALL])
            for partition, some in by_partition.items()
            for start in range(0, len(some), _CLAIMS_PER_CALL)
        ]

    @override
    async def find(self, owner: str, chat_id: str, run_id: str | None = None) -> Run:
        partition = self._partitions.of_chat(owner, chat_id)
        if run_id == "":
            raise RunNotFound
        reply = await partition.call(scripts.FIND_RUN, owner, chat_id, run_id or "")
        run = run_from(accepted(reply))
        self._partitions.remember(run.id, partition)
        return run

    @override
    async def any_run(self, run_id: str) -> Run:
        partition = await self._partitions.of_run(run_id)
        return run_from(accepted(await partition.call(scripts.ANY_RUN, run_id)))

    @override
    async def wait_for_work(self, seconds: float) -> None:
        await self._work.wait(seconds)

    @override
    async def newest(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        replies = await self._partitions.call_all(
            scripts.RUNS, "running" if active else "runs", limit
        )
        runs = [run_from(run) for reply in replies for run in reply]
        if len(replies) > 1:
            runs = heapq.nlargest(limit, runs, key=lambda run: (run.created_at, run.id))
        return runs


def _bounds(order: Order) -> str:
    bounds = order.bounds
    numbers = (bounds.running, bounds.active, bounds.waiting)
    return " ".join("-" if number is None else str(number) for number in numbers)


def _names(claims: Sequence[Claim]) -> list[str]:
    return [text for claim in claims for text in (claim.run.id, writer(claim.epoch))]
