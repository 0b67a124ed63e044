"""Logs: the records of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from durable_llm_streams.model import Charge, Epoch, Run, Span, Status

#: How many bytes of records one `read` returns at most, by default.
PAGE_BYTES = 256 * 1024


class Page(Struct, frozen=True):
    """Consecutive records of a log.

    Attributes:
        first: the sequence number of the first record here.
        records: maybe none.
        next_seq: the sequence number that the log's next record will get.
        spans: which epoch wrote which records.
        status: the run's, as of `next_seq`.
    """

    first: int
    records: Sequence[bytes]
    next_seq: int
    spans: tuple[Span, ...]
    status: Status

    @property
    def last(self) -> int:
        """The sequence number of the last record here, or of the one before `first`."""
        return self.first + len(self.records) - 1


class Append(Struct, frozen=True):
    """Records for one run.

    Attributes:
        at: the sequence number that the first of them gets.
    """

    run_id: str
    epoch: Epoch
    at: int
    records: Sequence[bytes]


class Ending(NamedTuple):
    """The end of a run.

    Attributes:
        epoch: the claim of the caller.
        at: the sequence number that the first record gets.
        records: the last records; the last one is terminal.
        body: the assistant message for the history, the fold of the whole log.
        now: the wall clock, in milliseconds.
        charges: settle the reservation: what was reserved and not used is given back, what was not
            reserved is taken. They are never refused.
    """

    run_id: str
    epoch: Epoch
    at: int
    records: Sequence[bytes]
    status: Status
    body: bytes
    now: int
    charges: Sequence[Charge] = ()


class LogReader(Protocol):
    """Reads logs."""

    async def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Page:
        """Read records from `after` + 1 on, at least one if there are any.

        Args:
            run_id: the run.
            after: the last record that the reader has; 0 for none.
            max_bytes: stop before the page gets larger; one record always fits.
            wait: the timeout in seconds when there is nothing to read and the run has not ended.
                Coarse: up to a second more. An empty page after it is not the end.

        Raises:
            RunNotFound: no such run, or it was deleted.
            CursorLost: `after` is beyond the log's end, or the log is past its retention.
        """
        ...


class LogStore(LogReader, Protocol):
    """Reads and writes logs."""

    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        """Write the records of many runs.

        Atomic: for each item, all its records or none. Items do not depend on each other.
        Idempotent: duplicates, which the log has already under this epoch, are not written again.

        Returns:
            For each item whether the log has it now. False: the item was fenced (another epoch
            claimed the run, it ended, it was deleted), or `at` is not where the log ends. Then the
            caller has lost its claim.

        Raises:
            StoreUnavailable: the outcome is unknown; call again with the same batch.
        """
        ...

    async def end(self, ending: Ending) -> Run:
        """Write the terminal record, the status and the message in the history, in one step.

        Atomic. Idempotent for the epoch that ended the run: it gets the ended run again.
        The charges are applied in the same step, once. The chat's updated_at is set. A run that
        waits behind this one becomes claimable.

        Raises:
            Fenced: the epoch is not the run's, or another epoch ended it.
            SequenceMismatch: `at` is not where the log ends. Read on, fold, retry.
            RunNotFound: no such run.
        """
        ...
