"""The runs that have not ended, in the memory of the serving process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from msgspec import structs

from durable_llm_streams.model import Claim, Epoch, Run, Span, Status
from durable_llm_streams.store import Page
from durable_llm_streams.stores.notify import Waiters, WorkSignal, wake

from .buckets import read_reservation
from .file import DatabaseFile
from .journal import unpack, with_span
from .rows import RUN_COLUMNS, run_from_row
from .turns import Turns


class ActiveRun:
    """A run that has not ended.

    Attributes:
        key, chat: row keys.
        run: the row, with its epoch and spans.
        writer: the epoch that may write; None while the run is queued.
        next_seq: the sequence number of the next record.
        tail, tail_first: the records since the last segment, and the first one's number.
        journal_row, tail_since: where and when (milliseconds) the tail begins.
        lease_until: when the lease runs out, by the monotonic clock; 0 when there is none.
    """

    __slots__ = (
        "chat", "journal_row", "key", "lease_until", "next_seq", "run", "tail", "tail_bytes",
        "tail_first", "tail_since", "waiters", "writer",
    )  # fmt: skip

    def __init__(self, key: int, chat: int, run: Run, next_seq: int = 1) -> None:
        self.key = key
        self.chat = chat
        self.become(run)
        self.next_seq = next_seq
        self.tail: list[bytes] = []
        self.tail_first = next_seq
        self.tail_bytes = 0
        self.tail_since = 0
        self.journal_row = 0
        self.lease_until = 0
        self.waiters: Waiters = []

    def become(self, run: Run) -> None:
        """Set the run as a claim or a release changed it."""
        self.run = run
        self.writer = run.epoch if run.status is Status.RUNNING else None

    def held_by(self, claim: Claim) -> bool:
        """Whether the claim is still the one that may write."""
        return self.run.status is Status.RUNNING and self.run.epoch == claim.epoch

    def extend(self, records: Sequence[bytes], size: int, journal_row: int, now: int) -> None:
        """Add committed records."""
        if not self.tail:
            self.journal_row = journal_row
            self.tail_since = now
        self.tail += records
        self.tail_bytes += size
        self.next_seq += len(records)

    def drop_tail(self) -> None:
        """Empty the tail, which is a segment now."""
        self.tail = []
        self.tail_first = self.next_seq
        self.tail_bytes = 0

    def wake(self, page: Page | None = None) -> None:
        """Wake every waiter with the page; with None it reads the log again."""
        waiters, self.waiters = self.waiters, []
        wake(waiters, page)


class ActiveRuns:
    """The table of active runs, in the order of their creation.

    Args:
        file: the serving connection; its journal is replayed.
        now: the wall clock, in milliseconds.
        monotonic: a monotonic clock, in milliseconds, for leases.
        token: draws a new epoch's token.

    Attributes:
        work: notified when a run becomes claimable.
        turns: the runs by owner.
        next_row: the journal row of the next flush.
    """

    def __init__(
        self,
        file: DatabaseFile,
        now: Callable[[], int],
        monotonic: Callable[[], int],
        token: Callable[[], str],
    ) -> None:
        self.work = WorkSignal()
        self.turns = Turns()
        self._now = now
        self._monotonic = monotonic
        self._token = token
        self._runs: dict[str, ActiveRun] = {}
        self._by_key: dict[int, ActiveRun] = {}
        self._queues: dict[int, list[str]] = {}  # chat key -> its runs, oldest first
        self.get = self._runs.get  # the log looks up each flushed run
        self.next_row = self._recover(file)

    def __iter__(self) -> Iterator[ActiveRun]:
        return iter(self._runs.values())

    def of_chat(self, chat: int) -> list[ActiveRun]:
        """The active runs of a chat, oldest first."""
        return [self._runs[run_id] for run_id in self._queues.get(chat, ())]

    def first_of(self, chat: int) -> str | None:
        """A chat's active run: the oldest, when several wait."""
        queue = self._queues.get(chat)
        return queue[0] if queue else None

    def add(self, active: ActiveRun) -> None:
        """Add a run that was written to the file."""
        self._runs[active.run.id] = active
        self._by_key[active.key] = active
        self._queues.setdefault(active.chat, []).append(active.run.id)
        self.changed(active)
        if active.run.status is Status.QUEUED:
            self.work.notify()

    def changed(self, active: ActiveRun) -> None:
        """Count a run whose status has changed."""
        is_first = self.first_of(active.chat) == active.run.id
        self.turns.set(active.key, active.run, is_first=is_first)

    def remove(self, active: ActiveRun, last: Page | None = None) -> None:
        """Remove a run that has ended or was deleted.

        Args:
            active: the run.
            last: its last page, for its waiters; with None they read again.
        """
        del self._runs[active.run.id]
        del self._by_key[active.key]
        is_work = self.turns.remove(active.key, active.run.owner)
        queue = self._queues[active.chat]
        queue.remove(active.run.id)
        if queue:
            self.changed(self._runs[queue[0]])
        else:
            del self._queues[active.chat]
        if queue or is_work:
            self.work.notify()
        active.wake(last)

    def claimable(self, limit: int, per_owner: int | None) -> list[ActiveRun]:
        """Runs whose turn it is, and runs whose lease ran out, see `Turns.next`.

        Args:
            limit: how many at most.
            per_owner: how many runs of one owner may run at once.
        """
        now = self._monotonic()
        expired = [
            (active.key, active.run.owner)
            for active in self
            if active.run.status is Status.RUNNING and active.lease_until <= now
        ]
        return [self._by_key[key] for key in islice(self.turns.next(expired, per_owner), limit)]

    def lease_until(self, seconds: float) -> int:
        """When a lease that begins now runs out, by the monotonic clock."""
        return self._monotonic() + round(seconds * 1000)

    def claimed(self, run: Run, next_seq: int) -> Run:
        """The run as its next claim changes it."""
        epoch = Epoch(run.epoch.number + 1, self._token())
        return structs.replace(
            run,
            status=Status.RUNNING,
            epoch=epoch,
            spans=with_span(run.spans, Span(next_seq, epoch)),
            takeovers=run.takeovers + (run.status is Status.RUNNING),
            started_at=self._now() if run.started_at is None else run.started_at,
        )

    def _recover(self, file: DatabaseFile) -> int:
        """Load the active runs and replay the journal. Returns the next journal row."""
        connection = file.connection
        by_key: dict[int, ActiveRun] = {}
        rows = connection.execute(
            "SELECT key, chat, (SELECT max(first + count) FROM segment WHERE run = run.key),"
            f" {RUN_COLUMNS} FROM run WHERE status IN ('queued', 'running') ORDER BY key"
        )
        for key, chat, next_seq, *columns in rows:
            charges, times = read_reservation(connection, key)
            run = structs.replace(run_from_row(columns), charges=charges, reservations=times)
            by_key[key] = ActiveRun(key, chat, run, next_seq or 1)
            self.add(by_key[key])
        last, now = 0, self._now()
        for last, row in connection.execute("SELECT id, data FROM journal ORDER BY id"):
            for item in unpack(row):
                active = by_key.get(item.run_key)
                if active is not None and item.first == active.next_seq:
                    active.extend(item.data.split(b"\n"), len(item.data), last, now)
        return int(last) + 1
