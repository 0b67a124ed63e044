"""Copies all chats from one store to another.

Theory of operation
===================
1. No progress is stored. If the target has a chat already, its outline is compared. If it equals
   the source's, the chat was copied before; if not, it is a conflict, which is reported and left
   unchanged. So a migration that was killed goes on when it is started again.
2. Each chat is added in one atomic step (see `portable`), so there are no partial chats.
3. At the end both stores are read from the beginning, and all chats are compared byte by byte,
   copied now or before.
4. Neither store may be served meanwhile. This is checked before and after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Literal, NamedTuple, TypeVar

from msgspec import Struct

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.clock import wall_clock
from durable_llm_streams.errors import CursorLost, RunNotFound, StoreUnavailable
from durable_llm_streams.model import Run

from .fingerprint import difference, fingerprint, whole_difference
from .portable import ChatName, Portable

Phase = Literal["copy", "compare"]
#: Called with the phase, the number of chats that are done in it, and their total, roughly.
Watch = Callable[[Phase, int, int], None]
T = TypeVar("T")

#: The backoff of calls while a store is unavailable.
RETRY = Backoff(0.2, 15.0)
TRIES = 8
#: How many chats are copied concurrently: most of the time is network latency.
AT_ONCE = 8
_ATTEMPTS = 3  # for a chat of which a part is deleted while it is read


class Conflict(NamedTuple):
    """A chat that is not the same in both stores.

    Attributes:
        reason: the end of a sentence about the chat in the target.
    """

    chat: ChatName
    reason: str


class Result(NamedTuple):
    """The result for one chat.

    Attributes:
        kind: `gone`: it was deleted in the source.
        reason: as in `Conflict`.
    """

    kind: Literal["copied", "same", "conflict", "gone"]
    reason: str = ""


class Outcome(Struct, kw_only=True):
    """The result of a migration.

    Attributes:
        copied: the number of chats that were copied.
        found: the number of equal chats that the target had before.
        compared: the number of chats that are equal at the end, byte by byte.
        conflicts: all others.
        cookies: whether the source's visitors keep their cookies.
    """

    copied: int = 0
    found: int = 0
    compared: int = 0
    conflicts: list[Conflict]
    cookies: bool = True


def _result(difference: str | None) -> Result:
    return Result("same") if difference is None else Result("conflict", difference)


class Migration:
    """Copies all chats. See above.

    Args:
        source: the store to read.
        target: the store to write.
        watch: called with the progress.
        log_age: seconds after a run's end after which its log may have expired.
        now: the time, in milliseconds.
        retry, tries: the backoff and the number of tries while a store is unavailable.
    """

    def __init__(
        self,
        source: Portable,
        target: Portable,
        watch: Watch = lambda phase, done, total: None,
        *,
        log_age: float = 24 * 3600.0,
        now: Callable[[], int] = wall_clock,
        retry: Backoff = RETRY,
        tries: int = TRIES,
    ) -> None:
        self._source = source
        self._target = target
        self._watch = watch
        self._log_age = log_age
        self._now = now
        self._retry = retry
        self._tries = tries
        self._begun: set[ChatName] = (
            set()
        )  # chats that may have been copied although the call failed

    async def run(self) -> Outcome:
        """Copy what is missing, then compare everything.

        Raises:
            StoreLocked: a server uses one of the stores.
            StoreUnavailable: a store was unavailable `tries` times in a row.
        """
        outcome = Outcome(conflicts=[])
        await self._refuse_served()
        outcome.cookies = await self._retried(self._move_secret)
        await self._copy_all(outcome)
        await self._compare_all(outcome)
        await self._refuse_served()
        return outcome

    async def _refuse_served(self) -> None:
        for store in (self._source, self._target):
            await self._retried(store.refuse_served)

    async def _move_secret(self) -> bool:
        """Copy the key of the cookies, unless the target has visitors of its own.

        The sign-outs come first: no cookie is valid that was not valid before.
        """
        secret = await self._source.secret()
        if secret is None:
            return True
        is_same = secret == await self._target.secret()
        if not is_same and await self._holds_chats(self._target):
            return False
        for owner, not_before in await self._source.sign_outs():
            await self._target.add_sign_out(owner, not_before)
        if not is_same:
            await self._target.set_secret(secret)
        return True

    async def _holds_chats(self, store: Portable) -> bool:
        place: str | None = ""
        while place is not None:
            chats, place = await store.listing(place)
            if chats:
                return True
        return False

    async def _each(self, work: Callable[[ChatName], Awaitable[None]]) -> None:
        """Call `work` for every chat of the source, several concurrently."""
        place: str | None = ""
        while place is not None:
            listing = await self._retried(partial(self._source.listing, place))
            chats, place = iter(listing.chats), listing.next

            async def some(chats: Iterator[ChatName] = chats) -> None:
                for name in chats:
                    await work(name)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(AT_ONCE):
                        group.create_task(some())
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

    async def _copy_all(self, outcome: Outcome) -> None:
        total = await self._retried(self._source.count)
        self._watch("copy", 0, total)
        done = 0

        async def copy(name: ChatName) -> None:
            nonlocal done
            match await self._attempt(partial(self._copy, name)):
                case Result("copied"):
                    outcome.copied += 1
                case Result("same"):
                    outcome.found += 1
                case Result("conflict", reason):
                    outcome.conflicts.append(Conflict(name, reason))
            self._begun.discard(name)
            done += 1
            self._watch("copy", done, max(done, total))

        await self._each(copy)

    async def _copy(self, name: ChatName) -> Result:
        outline = await self._source.outline(name)
        if outline is None:
            return Result("gone")
        there = await self._target.outline(name)
        if there is not None:
            result = _result(difference(outline, there))
            ours = result.kind == "same" and name in self._begun
            return Result("copied") if ours else result
        self._begun.add(name)
        async with aclosing(self._source.contents(outline)) as contents:
            if await self._target.add_chat(outline, contents):
                return Result("copied")
        if await self._target.outline(name) is None:
            return Result("conflict", "has a run whose id is taken there")
        return await self._copy(name)  # a lost reply looks the same

    async def _compare_all(self, outcome: Outcome) -> None:
        total = outcome.copied + outcome.found
        self._watch("compare", 0, total)
        known = {conflict.chat for conflict in outcome.conflicts}
        done = 0

        async def compare(name: ChatName) -> None:
            nonlocal done
            if name in known:
                return
            match await self._attempt(partial(self._compare, name)):
                case Result("same"):
                    outcome.compared += 1
                case Result("conflict", reason):
                    outcome.conflicts.append(Conflict(name, reason))
            done += 1
            self._watch("compare", done, max(done, total))

        await self._each(compare)
        outcome.conflicts.sort()

    async def _compare(self, name: ChatName) -> Result:
        source = await fingerprint(self._source, name)
        if source is None:
            return Result("gone")
        target = await fingerprint(self._target, name)
        return _result(whole_difference(source, target, self._is_due))

    def _is_due(self, run: Run) -> bool:
        return run.ended_at is not None and run.ended_at + self._log_age * 1000 <= self._now()

    async def _attempt(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do the work for one chat, again if a part of it expires meanwhile."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._retried(work)
            except (RunNotFound, CursorLost):
                continue
        return Result("conflict", "cannot be read as a whole: a part of it is missing")

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, with retries while a store is unavailable."""
        for failures in range(1, self._tries):
            try:
                return await work()
            except StoreUnavailable:
                await asyncio.sleep(self._retry.delay(failures))
        return await work()
