"""Runs and their logs in the file: append, read, claim, renew, release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from msgspec import structs

from durable_llm_streams.errors import CursorLost, Fenced, RunNotFound, StoreUnavailable
from durable_llm_streams.model import Claim, Epoch, Run, Span, Status
from durable_llm_streams.store import PAGE_BYTES, Append, Page
from durable_llm_streams.stores.waiters import wake_due

from .file import DatabaseFile
from .journal import SEGMENT_AGE, SEGMENT_BYTES, ActiveRun, item_head, unpack, with_span
from .rows import (
    RUN_COLUMNS,
    insert_segment,
    read_segments,
    run_from_row,
    update_run,
    within,
)

_SWEEP_SECONDS = 0.5
_TRIM_MILLISECONDS = 1000

_RUN_ID = attrgetter("run_id")
_New = tuple[ActiveRun, Sequence[bytes], int]  # records of a run, and their bytes


class Logs:
    """The active runs in memory over the file.

    Args:
        file: the serving connection.
        now: the wall clock, in milliseconds.
        monotonic: a clock that nobody sets, in milliseconds: leases go by it.
        token: draws a new epoch's token.
    """

    def __init__(
        self,
        file: DatabaseFile,
        now: Callable[[], int],
        monotonic: Callable[[], int],
        token: Callable[[], str],
    ) -> None:
        self._file = file
        self._now = now
        self._monotonic = monotonic
        self._token = token
        self.active: dict[str, ActiveRun] = {}  # oldest first
        self.queues: dict[int, list[str]] = {}  # chat key -> its active runs, oldest first
        self._trim_at = 0
        self._sweeping = False
        self._work = asyncio.Event()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_row = self._recover()

    # --- writing -----------------------------------------------------------------------------

    def append(self, batch: Sequence[Append]) -> list[bool]:
        """See `LogStore.append`."""
        if len(set(map(_RUN_ID, batch))) < len(batch):
            return [self.append([item])[0] for item in batch]  # each sees what the last one wrote
        accepted = [True] * len(batch)
        new: list[_New] = []
        row: list[bytes] = []
        find, join, full = self.active.get, b"\n".join, False
        for index, item in enumerate(batch):
            active, records = find(item.run_id), item.records
            if active is None or active.writer != item.epoch:
                accepted[index] = False
            elif item.at != active.next_seq:
                written = item.at + len(records) <= active.next_seq
                accepted[index] = written and item.at >= active.run.spans[-1].first
            elif records:
                data = join(records)
                size = len(data)
                row += (item_head(active.key, item.at, len(records), size), data)
                new.append((active, records, size))
                if active.tail_bytes + size > SEGMENT_BYTES:
                    full = True
        if new:
            self._write(new, b"".join(row), full)
        return accepted

    def _write(self, new: list[_New], data: bytes, full: bool) -> None:
        now = self._now()
        row = self._next_row
        if full or now >= self._trim_at:
            sealed = self._write_and_seal(new, row, data, now)
        else:
            self._file.append_journal(row, data)
            sealed = ()
        self._next_row = row + 1
        for active, records, size in new:
            first = active.next_seq
            active.extend(records, size, row, now)
            if active.waiters:  # they have everything before this
                run, page = active.run, None
                if size <= SEGMENT_BYTES:
                    page = Page(first, records, active.next_seq, run.spans, run.status)
                active.wake(page)
        for active in sealed:
            active.drop_tail()

    def _write_and_seal(
        self, new: list[_New], row: int, data: bytes, now: int
    ) -> Iterable[ActiveRun]:
        # In their order: what is written first must not depend on where a run lies in memory.
        sealed = dict.fromkeys(a for a, _, size in new if a.tail_bytes + size > SEGMENT_BYTES)
        with self._file.transaction() as connection:
            self._file.append_journal(row, data)
            fresh = {active.key: records for active, records, _ in new}
            if now >= self._trim_at or now < self._trim_at - _TRIM_MILLISECONDS:  # set back
                self._trim_at = now + _TRIM_MILLISECONDS
                old = now - SEGMENT_AGE
                sealed |= dict.fromkeys(
                    active
                    for active in self.active.values()
                    if active.tail and not old <= active.tail_since <= now
                )
                rows = (a.journal_row for a in self.active.values() if a.tail and a not in sealed)
                connection.execute("DELETE FROM journal WHERE id < ?", (min(rows, default=row),))
            for active in sealed:
                insert_segment(connection, active, fresh.get(active.key, ()))
        return sealed

    # --- reading -----------------------------------------------------------------------------

    async def read(self, run_id: str, after: int, max_bytes: int, wait: float) -> Page:
        """See `LogReader.read`."""
        active = self.active.get(run_id)
        if wait > 0 and active is not None and after + 1 == active.next_seq:
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            if self._loop is None:
                self._loop = asyncio.get_running_loop()  # once: before Python 3.12 a system call
            loop = self._loop
            future: asyncio.Future[Page | None] = loop.create_future()
            active.waiters.append((future, loop.time() + wait))
            if not self._sweeping:
                self._sweeping = True
                loop.call_later(_SWEEP_SECONDS, self._sweep)
            page = await future
            if page is not None and max_bytes >= SEGMENT_BYTES:
                return page
            if self._closed:
                raise StoreUnavailable("The store is closed.")
        return self.page(run_id, after, max_bytes)

    def page(self, run_id: str, after: int, max_bytes: int = PAGE_BYTES) -> Page:
        """What stands in the log now."""
        active = self.active.get(run_id)
        if active is None:
            with self._file.translated_errors():
                return self._ended_page(run_id, after, max_bytes)
        if after >= active.next_seq or after < 0:
            raise CursorLost
        if after >= active.tail_first - 1:
            records: Sequence[bytes] = active.tail[after + 1 - active.tail_first :]
            if active.tail_bytes > max_bytes:
                records = within(records, max_bytes)
        else:
            with self._file.translated_errors():
                records = read_segments(self._file.connection, active.key, after, max_bytes)
        run = active.run
        return Page(after + 1, records, active.next_seq, run.spans, run.status)

    def _ended_page(self, run_id: str, after: int, max_bytes: int) -> Page:
        row = self._file.connection.execute(
            f"SELECT key, next_seq, has_log, {RUN_COLUMNS} FROM run WHERE id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunNotFound("There is no such run (any more).")
        key, next_seq, has_log, *columns = row
        run = run_from_row(columns)
        if after >= next_seq or after < 0 or (not has_log and after < next_seq - 1):
            raise CursorLost
        records = read_segments(self._file.connection, key, after, max_bytes)
        return Page(after + 1, records, next_seq, run.spans, run.status)

    def _sweep(self) -> None:
        """Wake the readers that have waited long enough. One timer for all of them."""
        self._sweeping = False
        now = asyncio.get_running_loop().time()
        left = False
        for active in self.active.values():
            if active.waiters:
                active.waiters = wake_due(active.waiters, now)
                left = left or bool(active.waiters)
        if left and not self._closed:
            self._sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    # --- claims ------------------------------------------------------------------------------

    def add(self, active: ActiveRun) -> None:
        """A new run was written to the file."""
        self.active[active.run.id] = active
        self.queues.setdefault(active.chat, []).append(active.run.id)
        if active.run.status is Status.QUEUED:
            self._work.set()

    def forget(self, active: ActiveRun, last: Page | None = None) -> None:
        """A run has ended or is gone; waiting readers get its last page, or look for themselves."""
        del self.active[active.run.id]
        queue = self.queues[active.chat]
        queue.remove(active.run.id)
        if queue:
            self._work.set()
        else:
            del self.queues[active.chat]
        active.wake(last)

    async def work(self, wait: float) -> None:
        """See `RunStore.work`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._work.wait()
        self._work.clear()

    def claim(self, limit: int, lease: float) -> list[Claim]:
        """See `RunStore.claim`."""
        now = self._monotonic()
        free = [active for active in self.active.values() if self._claimable(active, now)][:limit]
        return self._claim(free, [self.claimed(a.run, a.next_seq) for a in free], lease)

    def seize(self, run_id: str, lease: float) -> Claim:
        """See `RunStore.seize`."""
        active = self.active.get(run_id)
        if active is None:
            with self._file.translated_errors():
                self.find(run_id)
            raise Fenced("This run has ended already.")
        run = self.claimed(active.run, active.next_seq)
        run = structs.replace(run, takeovers=active.run.takeovers)
        return self._claim([active], [run], lease)[0]

    def _claim(self, free: Sequence[ActiveRun], runs: Sequence[Run], lease: float) -> list[Claim]:
        if not free:
            return []
        with self._file.transaction() as connection:
            for active, run in zip(free, runs, strict=True):
                update_run(connection, run, active.next_seq)
        for active, run in zip(free, runs, strict=True):
            active.become(run)
            active.lease_until = self.lease_until(lease)
            active.wake()  # a queued run's readers see that it runs
        return [Claim(a.run, a.run.epoch, a.next_seq) for a in free]

    def lease_until(self, seconds: float) -> int:
        """When a lease that begins now runs out, by the monotonic clock."""
        return self._monotonic() + round(seconds * 1000)

    def _claimable(self, active: ActiveRun, now: int) -> bool:
        if active.run.status is Status.QUEUED:
            return self.queues[active.chat][0] == active.run.id
        return active.lease_until <= now

    def claimed(self, run: Run, next_seq: int) -> Run:
        """The run as its next claim makes it."""
        epoch = self.next_epoch(run)
        return structs.replace(
            run,
            status=Status.RUNNING,
            epoch=epoch,
            spans=with_span(run.spans, Span(next_seq, epoch)),
            takeovers=run.takeovers + (run.status is Status.RUNNING),
            started_at=self._now() if run.started_at is None else run.started_at,
        )

    def next_epoch(self, run: Run) -> Epoch:
        """What the next claim of a run, or its stop, is written under."""
        return Epoch(run.epoch.number + 1, self._token())

    def renew(self, claims: Sequence[Claim], lease: float) -> list[Claim]:
        """See `RunStore.renew`. In memory: whoever opens the file next owes no lease to anybody."""
        until = self.lease_until(lease)
        lost = []
        for claim in claims:
            active = self.active.get(claim.run.id)
            if active is None or not active.held_by(claim):
                lost.append(claim)
            else:
                active.lease_until = until
        return lost

    def release(self, claims: Sequence[Claim]) -> None:
        """See `RunStore.release`."""
        held = [
            active
            for claim in claims
            if (active := self.active.get(claim.run.id)) is not None and active.held_by(claim)
        ]
        if held:
            with self._file.transaction() as connection:
                for active in held:
                    queued = structs.replace(active.run, status=Status.QUEUED)
                    update_run(connection, queued, active.next_seq)
            for active in held:
                active.become(structs.replace(active.run, status=Status.QUEUED))
                active.lease_until = 0
            self._work.set()

    def find(self, run_id: str) -> Run:
        """A run by its id. Raises RunNotFound."""
        active = self.active.get(run_id)
        if active is not None:
            return active.run
        row = self._file.connection.execute(
            f"SELECT {RUN_COLUMNS} FROM run WHERE id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunNotFound("There is no such run (any more).")
        return run_from_row(row)

    # --- opening and closing -----------------------------------------------------------------

    def _recover(self) -> int:
        """Load the active runs and replay the journal. Returns the next journal row."""
        connection = self._file.connection
        by_key: dict[int, ActiveRun] = {}
        rows = connection.execute(
            "SELECT key, chat, (SELECT max(first + count) FROM segment WHERE run = run.key),"
            f" {RUN_COLUMNS} FROM run WHERE status IN ('queued', 'running') ORDER BY key"
        )
        for key, chat, next_seq, *columns in rows:
            by_key[key] = ActiveRun(key, chat, run_from_row(columns), next_seq or 1)
            self.add(by_key[key])
        last, now = 0, self._now()
        for last, row in connection.execute("SELECT id, data FROM journal ORDER BY id"):
            for item in unpack(row):
                active = by_key.get(item.run_key)
                if active is not None and item.first == active.next_seq:
                    active.extend(item.data.split(b"\n"), len(item.data), last, now)
        return int(last) + 1

    def close(self) -> None:
        """Let every reader go."""
        self._closed = True
        self._work.set()
        for active in self.active.values():
            active.wake()

    def chat_runs(self, chat: int) -> Iterator[Run]:
        """The active runs of a chat, oldest first."""
        for run_id in self.queues.get(chat, ()):
            yield self.active[run_id].run

    def first_of(self, chat: int) -> str | None:
        """A chat's active run: the oldest, when several wait."""
        queue = self.queues.get(chat)
        return queue[0] if queue else None
