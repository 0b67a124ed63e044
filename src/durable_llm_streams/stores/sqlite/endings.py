"""How a run ends in the file: log, status, history, chat and feed, in one step."""

from __future__ import annotations

from msgspec import structs

from durable_llm_streams.errors import Fenced, SequenceMismatch
from durable_llm_streams.model import Run, Span, Status
from durable_llm_streams.store import Ending, Page

from .feed import Feeds
from .file import DatabaseFile
from .journal import SEGMENT_BYTES, ActiveRun, with_span
from .log import Logs
from .rows import chat_from_row, chat_row, insert_segment, update_run
from .seen_time import SeenTime


class Endings:
    """Ends the runs that `logs` holds."""

    def __init__(self, file: DatabaseFile, logs: Logs, feeds: Feeds, seen: SeenTime) -> None:
        self._file = file
        self._seen = seen
        self._logs = logs
        self._feeds = feeds

    def end(self, ending: Ending) -> Run:
        """See `LogStore.end`."""
        active = self._logs.active.get(ending.run_id)
        if active is None:
            return self._already_ended(ending)
        ended = self._as_ended(active, ending)
        next_seq = active.next_seq + len(ending.records)
        seen_at = self._seen.stamp()
        with self._file.transaction() as connection:
            insert_segment(connection, active, ending.records)
            update_run(connection, ended, next_seq, seen_at)
            connection.execute(
                "UPDATE message SET body = ? WHERE chat = ? AND id = ?",
                (ending.body, active.chat, ended.message_id),
            )
            connection.execute(
                "UPDATE chat SET updated_at = max(updated_at, ?), seen_at = ? WHERE key = ?",
                (ending.now, seen_at, active.chat),
            )
            row = chat_row(connection, active.chat)
        # Waiting readers get the end itself: should the chat be deleted next, they still have it.
        last = Page(active.next_seq, ending.records, next_seq, ended.spans, ended.status)
        small = sum(map(len, ending.records)) <= SEGMENT_BYTES
        self._logs.forget(active, last if small else None)
        self._feeds.tell("run-ended", chat_from_row(row, self._logs.first_of(active.chat)), ended)
        return ended

    def _as_ended(self, active: ActiveRun, ending: Ending) -> Run:
        run = active.run
        if ending.epoch is None:
            epoch = self._logs.next_epoch(run)
            spans = with_span(run.spans, Span(active.next_seq, epoch))
        elif run.status is Status.RUNNING and run.epoch == ending.epoch:
            epoch, spans = run.epoch, run.spans
        else:
            raise Fenced("Another worker has claimed this run.")
        if ending.at != active.next_seq:
            raise SequenceMismatch(active.next_seq)
        return structs.replace(
            run, status=ending.status, epoch=epoch, spans=spans, ended_at=ending.now
        )

    def _already_ended(self, ending: Ending) -> Run:
        with self._file.translated_errors():
            run = self._logs.find(ending.run_id)
        if ending.epoch is not None and run.epoch == ending.epoch:
            return run
        raise Fenced("This run has ended already.")
