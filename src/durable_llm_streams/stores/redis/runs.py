"""Runs and who writes them: send, claim, seize, renew, release, find."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from durable_llm_streams.errors import RunNotFound, StoreUnavailable
from durable_llm_streams.model import Claim, Run
from durable_llm_streams.store import Order, Sent

from . import scripts
from .client.database import Script
from .context import Shared, milliseconds
from .replies import accepted, claim_from, run_from, writer


class Runs:
    """The runs of a store.

    Args:
        shared: see `Shared`.
        ours: told of every claim that this process gets.
    """

    def __init__(self, shared: Shared, ours: Callable[[Claim], None]) -> None:
        self._shared = shared
        self._ours = ours
        self._turn = 0
        self._unanswered: dict[str, list[str]] = {}  # tokens, by partition; see claim.lua

    async def send(self, order: Order) -> Sent:
        """See `RunStore.send`."""
        shared = self._shared
        root = shared.partitions.of_chat(order.chat_id)
        token = shared.token()
        try:
            reply = await shared.call(scripts.SEND, root, *self._arguments(order, token))
        except StoreUnavailable:
            if order.worker is not None:
                self._unanswered.setdefault(root, []).append(token)
            raise
        found = accepted(reply)
        run = run_from(found)
        shared.partitions.remember(run.id, root)
        if reply[0] == b"found":
            return Sent(run, created=False, claim=None)
        if order.worker is None or run.epoch.number == 0:
            return Sent(run, created=True, claim=None)
        claim = claim_from(found)
        self._ours(claim)
        return Sent(run, created=True, claim=claim)

    def _arguments(self, order: Order, token: str) -> tuple[str | bytes | int, ...]:
        shared = self._shared
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
            shared.clock,
            token,
            milliseconds(shared.retention.chat),
        )

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[Claim]:
        """See `RunStore.claim`. What one partition gave is not lost when another one fails."""
        claims: list[Claim] = []
        failure: StoreUnavailable | None = None
        for root in self._in_turn():
            if len(claims) >= limit:
                break
            try:
                claims += await self._claim(root, worker, limit - len(claims), lease)
            except StoreUnavailable as error:
                failure = error
        if failure is not None and not claims:
            raise failure
        if len(self._shared.partitions.roots) > 1:
            claims.sort(key=lambda claim: (claim.run.created_at, claim.run.id))
        return claims

    def _in_turn(self) -> Sequence[str]:
        """The partitions, each time from another one on: none comes last for ever."""
        roots = self._shared.partitions.roots
        self._turn = (self._turn + 1) % len(roots)
        return roots[self._turn :] + roots[: self._turn]

    async def _claim(self, root: str, worker: str, limit: int, lease: float) -> list[Claim]:
        shared = self._shared
        unanswered = self._unanswered.pop(root, [])
        tokens = [*unanswered, *(shared.token() for _ in range(limit))]
        about = (worker, limit, milliseconds(lease), shared.clock, str(len(unanswered)))
        try:
            replies = await shared.call(scripts.CLAIM, root, *about, *tokens)
        except StoreUnavailable:
            self._unanswered[root] = tokens[-_REMEMBERED:]
            raise
        claims = [claim_from(reply) for reply in replies]
        for claim in claims:
            shared.partitions.remember(claim.run.id, root)
            self._ours(claim)
        return claims

    async def seize(self, run_id: str, worker: str, lease: float) -> Claim:
        """See `RunStore.seize`."""
        shared = self._shared
        root = await shared.partitions.of_run(run_id)
        reply = await shared.call(
            scripts.SEIZE, root, run_id, worker, milliseconds(lease), shared.clock, shared.token()
        )
        claim = claim_from(accepted(reply))
        self._ours(claim)
        return claim

    async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
        """See `RunStore.renew`."""
        arguments = (milliseconds(lease), self._shared.clock)
        lost: list[Claim] = []
        for portion, held in await self._for_each(scripts.RENEW, claims, *arguments):
            lost += [claim for claim, mark in zip(portion, held, strict=True) if mark != _HELD]
        return lost

    async def release(self, claims: Sequence[Claim]) -> None:
        """See `RunStore.release`."""
        await self._for_each(scripts.RELEASE, claims)

    async def _for_each(
        self, script: Script, claims: Sequence[Claim], *arguments: str | int
    ) -> list[tuple[list[Claim], Any]]:
        """Run a script for all claims. What is where Redis does not answer holds up no others.

        Raises:
            StoreUnavailable: for some of them, nobody knows.
        """
        replies: list[tuple[list[Claim], Any]] = []
        failure: StoreUnavailable | None = None
        for root, portion in self._by_partition(claims):
            try:
                reply = await self._shared.call(script, root, *arguments, *_names(portion))
            except StoreUnavailable as error:
                failure = error
            else:
                replies.append((portion, reply))
        if failure is not None:
            raise failure
        return replies

    def _by_partition(self, claims: Sequence[Claim]) -> list[tuple[str, list[Claim]]]:
        """The claims in portions: a long call would hold up the writers."""
        partitions = self._shared.partitions
        portions: dict[str, list[Claim]] = {}
        for claim in claims:
            portions.setdefault(partitions.of_chat(claim.run.chat_id), []).append(claim)
        return [
            (root, portion[start : start + _PORTION])
            for root, portion in portions.items()
            for start in range(0, len(portion), _PORTION)
        ]

    async def find_run(self, owner: str | None, chat_id: str, run_id: str | None) -> Run:
        """See `RunStore.find_run`."""
        root = self._shared.partitions.of_chat(chat_id)
        if run_id == "":
            raise RunNotFound("There is no such run in this chat.")
        reply = await self._shared.call(
            scripts.FIND_RUN, root, int(owner is not None), owner or "", chat_id, run_id or ""
        )
        run = run_from(accepted(reply))
        self._shared.partitions.remember(run.id, root)
        return run

    async def runs(self, *, active: bool, limit: int) -> Sequence[Run]:
        """See `RunStore.runs`."""
        index = "running" if active else "runs"
        parts = await self._shared.call_all(scripts.RUNS, index, limit)
        if len(parts) == 1:
            return [run_from(reply) for reply in parts[0]]
        runs = [run_from(reply) for part in parts for reply in part]
        return heapq.nlargest(limit, runs, key=lambda run: (run.created_at, run.id))


_HELD = ord("1")
_PORTION = 200
_REMEMBERED = 1000


def _names(claims: Sequence[Claim]) -> list[str]:
    return [text for claim in claims for text in (claim.run.id, writer(claim.epoch))]
