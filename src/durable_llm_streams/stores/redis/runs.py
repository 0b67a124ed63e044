"""Runs on Redis: accept a message, claim, renew, release, find."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from durable_llm_streams.errors import RunNotFound, StoreUnavailable
from durable_llm_streams.model import Claim, Run
from durable_llm_streams.store import Order, Retention, RunStore, Sent
from durable_llm_streams.stores.notify import WorkSignal

from . import scripts
from .client.script import Script
from .live.following import Following
from .partitions import Partition, Partitions, milliseconds
from .replies import accepted, claim_from, run_from, writer

_HELD = ord("1")
_PORTION = 200
_REMEMBERED = 1000


class RedisRuns(RunStore):
    """Runs on Redis.

    Args:
        partitions: where they are.
        following: gets to know which runs this process writes.
        work: is notified when there may be work.
        retention: how long things are kept.
        clock: what scripts are given as their clock: "" for the server's.
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
        self._unanswered: dict[Partition, list[str]] = {}  # tokens; see claim.lua

    @override
    async def send(self, order: Order) -> Sent:
        partition = self._partitions.of_chat(order.chat_id)
        token = self._token()
        try:
            reply = await partition.call(scripts.SEND, *self._arguments(order, token))
        except StoreUnavailable:
            if order.worker is not None:
                self._unanswered.setdefault(partition, []).append(token)
            raise
        found = accepted(reply)
        run = run_from(found)
        self._partitions.remember(run.id, partition)
        if reply[0] == b"found":
            return Sent(run, created=False, claim=None)
        if order.worker is None or run.epoch.number == 0:
            return Sent(run, created=True, claim=None)
        claim = claim_from(found)
        self._following.claimed(claim)
        return Sent(run, created=True, claim=claim)

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
        )

    @override
    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        # The claims of one partition are not lost when another one fails.
        claims: list[Claim] = []
        failure: StoreUnavailable | None = None
        for partition in self._in_turn():
            if len(claims) >= limit:
                break
            try:
                claims += await self._claim(partition, worker, limit - len(claims), lease)
            except StoreUnavailable as error:
                failure = error
        if failure is not None and not claims:
            raise failure
        if len(self._partitions.all) > 1:
            claims.sort(key=lambda claim: (claim.run.created_at, claim.run.id))
        return claims

    def _in_turn(self) -> Sequence[Partition]:
        """The partitions, each time from another one on, so that none is always last."""
        partitions = self._partitions.all
        self._turn = (self._turn + 1) % len(partitions)
        return partitions[self._turn :] + partitions[: self._turn]

    async def _claim(
        self, partition: Partition, worker: str, limit: int, lease: float
    ) -> list[Claim]:
        unanswered = self._unanswered.pop(partition, [])
        tokens = [*unanswered, *(self._token() for _ in range(limit))]
        about = (worker, limit, milliseconds(lease), self._clock(), str(len(unanswered)))
        try:
            replies = await partition.call(scripts.CLAIM, *about, *tokens)
        except StoreUnavailable:
            self._unanswered[partition] = tokens[-_REMEMBERED:]
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
        for portion, held in await self._for_each(scripts.RENEW, claims, *arguments):
            lost += [claim for claim, mark in zip(portion, held, strict=True) if mark != _HELD]
        self._following.lost(lost)
        return lost

    @override
    async def release(self, claims: Sequence[Claim]) -> None:
        await self._for_each(scripts.RELEASE, claims)
        self._following.lost(claims)

    async def _for_each(
        self, script: Script, claims: Sequence[Claim], *arguments: str | int
    ) -> list[tuple[list[Claim], Any]]:
        """Run a script for all claims. A partition that does not answer holds up no other one.

        Raises:
            StoreUnavailable: for some of them the outcome is unknown.
        """
        replies: list[tuple[list[Claim], Any]] = []
        failure: StoreUnavailable | None = None
        for partition, portion in self._by_partition(claims):
            try:
                reply = await partition.call(script, *arguments, *_names(portion))
            except StoreUnavailable as error:
                failure = error
            else:
                replies.append((portion, reply))
        if failure is not None:
            raise failure
        return replies

    def _by_partition(self, claims: Sequence[Claim]) -> list[tuple[Partition, list[Claim]]]:
        """The claims in portions: a long call would hold up the writers."""
        portions: dict[Partition, list[Claim]] = {}
        for claim in claims:
            partition = self._partitions.of_chat(claim.run.chat_id)
            portions.setdefault(partition, []).append(claim)
        return [
            (partition, portion[start : start + _PORTION])
            for partition, portion in portions.items()
            for start in range(0, len(portion), _PORTION)
        ]

    @override
    async def find(self, owner: str | None, chat_id: str, run_id: str | None = None) -> Run:
        partition = self._partitions.of_chat(chat_id)
        if run_id == "":
            raise RunNotFound
        reply = await partition.call(
            scripts.FIND_RUN, int(owner is not None), owner or "", chat_id, run_id or ""
        )
        run = run_from(accepted(reply))
        self._partitions.remember(run.id, partition)
        return run

    @override
    async def wait_for_work(self, seconds: float) -> None:
        await self._work.wait(seconds)

    @override
    async def newest(self, *, active: bool = False, limit: int = 100) -> Sequence[Run]:
        parts = await self._partitions.call_all(
            scripts.RUNS, "running" if active else "runs", limit
        )
        runs = [run_from(reply) for part in parts for reply in part]
        if len(parts) > 1:
            runs = heapq.nlargest(limit, runs, key=lambda run: (run.created_at, run.id))
        return runs


def _names(claims: Sequence[Claim]) -> list[str]:
    return [text for claim in claims for text in (claim.run.id, writer(claim.epoch))]
