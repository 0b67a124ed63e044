"""What a reader may have received: a prefix of the log, which never changes but by growing.

The oracle reads the log by itself, from the store. Of every reader, at every look:

1. each event is one record of the log, or neighbouring records merged; with those before it, it is
   the log's beginning: nothing is missing, nothing comes twice;
2. its cursor names the epoch that wrote the record;
3. the log is what it was at the last look, and more.

At the end: the reader has all of the log, its last record is its only terminal one, and the history
is its fold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_llm_streams.chunks import decode, merge
from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.fold import Fold
from durable_llm_streams.log import read_all
from durable_llm_streams.model import Cursor, Span, token_at
from durable_llm_streams.stores.redis import RedisStore
from tests.app import Frame
from tests.redis_faults.reader import TERMINAL, Reader

_LOOK_SECONDS = 0.05


@dataclass
class Log:
    """A run's log, as far as the oracle knows it.

    Attributes:
        records: all of them.
        spans: who wrote which.
    """

    records: list[bytes] = field(default_factory=list)
    spans: tuple[Span, ...] = ()

    def written_under(self, span: int) -> list[bytes]:
        """The records of one epoch."""
        first = self.spans[span].first
        after = self.spans[span + 1].first if span + 1 < len(self.spans) else len(self.records) + 1
        return self.records[first - 1 : after - 1]


class Oracle:
    """Compares readers with the log.

    Args:
        store: the store, open; the oracle writes nothing.
    """

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self._logs: dict[str, Log] = {}
        self._lock = asyncio.Lock()
        self._checked: dict[Reader, int] = {}

    async def watch(self, readers: Sequence[Reader]) -> None:
        """Look at all readers again and again, whoever joins meanwhile."""
        while True:
            for reader in list(readers):
                await self.look(reader)
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self, reader: Reader) -> None:
        """See that a reader has a prefix of what is committed."""
        frames = reader.frames[:]
        checked = self._checked.get(reader, 0)
        if checked == len(frames):
            return
        try:
            log = await self._grown(Cursor.parse(frames[0].id).run_id)
        except StoreUnavailable:
            return  # nobody can look now
        at = Cursor.parse(frames[checked - 1].id).seq if checked else 0
        check_frames(frames[checked:], log, at)
        self._checked[reader] = len(frames)

    async def verify(self, reader: Reader, chat: dict[str, Any]) -> Log:
        """See that a reader has the whole answer, and the history too.

        Args:
            reader: at its end.
            chat: as a server tells it.
        """
        assert reader.frames
        await self.look(reader)
        run_id = Cursor.parse(reader.frames[0].id).run_id
        log = self._logs[run_id]
        records, page = await read_all(self.store, run_id)
        assert records == log.records, "the log has changed"
        assert page.status.ended
        assert reader.last == len(records), "the reader has not all of it"
        kinds = [decode(record)["type"] for record in records]
        ends = [kind for kind in kinds if kind in TERMINAL]
        assert ends == [kinds[-1]]
        assert kinds.count("start") == 1
        message = Fold.of(records).message()
        question, told = chat["messages"]
        assert question["role"] == "user"
        assert told == message, "the history is not the fold"
        assert chat["active_run"] is None
        return log

    async def epoch(self, reader: Reader) -> int:
        """How often the run was claimed that a reader reads."""
        assert reader.cursor is not None
        run = await self.store.find_run(None, reader.chat, reader.cursor.run_id)
        return run.epoch.number

    async def taken_over(self, reader: Reader) -> bool:
        """Whether another writer than the first has what a reader reads."""
        return await self.epoch(reader) > 1

    def log(self, reader: Reader) -> Log:
        """What is known of the log that a reader reads."""
        return self._logs[Cursor.parse(reader.frames[0].id).run_id]

    async def _grown(self, run_id: str) -> Log:
        known = self._logs.setdefault(run_id, Log())
        async with self._lock:
            while True:
                page = await self.store.read(run_id, len(known.records))
                known.records += page.records
                known.spans = page.spans
                if page.last + 1 >= page.next_seq:
                    return known


def check_frames(frames: Iterable[Frame], log: Log, at: int) -> None:
    """See that events are the records of a log behind record `at`, and name who wrote them.

    Raises:
        AssertionError: they are not; it says which.
    """
    for frame in frames:
        cursor = Cursor.parse(frame.id)
        part = log.records[at : cursor.seq]
        assert part, f"{frame} came behind record {at}"
        assert len(part) == cursor.seq - at, f"{frame} is not committed"
        expected = part[0] if len(part) == 1 else _merged(part)
        assert frame.data.encode() == expected, f"{frame} is not in the log"
        assert cursor.token == token_at(log.spans, cursor.seq), f"{frame}: {log.spans}"
        at = cursor.seq


def _merged(part: Iterable[bytes]) -> bytes:
    whole = merge(list(part))
    assert len(whole) == 1, f"one event for what cannot be merged: {part!r}"
    return whole[0][1]


def text_of(records: Iterable[bytes]) -> str:
    """The text that records tell, whatever becomes of it later."""
    chunks = map(decode, records)
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


def shown(records: Iterable[bytes]) -> str:
    """The text of the message that a log folds to."""
    parts = Fold.of(list(records)).message()["parts"]
    return "".join(part.get("text", "") for part in parts)
