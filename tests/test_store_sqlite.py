"""The SQLite store: the contract, its journal and its write-ahead log."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from pathlib import Path

import pytest

from durable_llm_streams.model import Chat, Claim, Status
from durable_llm_streams.store import FEED_LENGTH, Append, Changes
from durable_llm_streams.stores import open_store
from durable_llm_streams.stores.sqlite import SQLiteStore, Synchronous
from durable_llm_streams.stores.sqlite import file as database_file
from durable_llm_streams.stores.sqlite.feed import SQLiteFeed
from durable_llm_streams.stores.sqlite.journal import SEGMENT_BYTES
from tests.contract import LimitsContract, StoreContract, TurnsContract, compare_with_model
from tests.contract.harness import HOUR, LAST, LONG, Talk, bounded, records
from tests.sqlite_stores import SQLiteStores, stores, talk
from tests.waiting import until, within

__all__ = ["stores", "talk"]


class TestContract(StoreContract):
    pass


class TestTurns(TurnsContract):
    pass


class TestLimits(LimitsContract):
    pass


@pytest.mark.promise("prefix", "fencing", "one-end", "stop", "idempotent-send", "history-is-fold")
def test_random_operations_do_what_they_do_in_the_model(tmp_path: Path) -> None:
    numbers = itertools.count(1)

    def factory() -> SQLiteStores:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return SQLiteStores(folder)

    compare_with_model(factory)


# --- the journal and the segments --------------------------------------------------------------


@pytest.mark.promise("bounded")
async def test_the_journal_stays_short(talk: Talk, stores: SQLiteStores) -> None:
    """2,000 flushes of runs that write at different speeds, 50 flushes a second."""
    claims = [await talk.start(chat=f"c{n}") for n in range(4)]
    written = [0] * 4
    longest = 0
    for flush in range(2000):
        batch = []
        for n, claim in enumerate(claims):
            if flush % (20**n) == 0:  # the last one wrote once, long ago
                batch.append(Append(claim.run.id, claim.epoch, written[n] + 1, records(1, 90)))
                written[n] += 1
        assert all(await talk.store.log.append(batch))
        talk.clock.advance(0.02)
        if flush % 50 == 0:
            longest = max(longest, stores.count("journal"))
    assert longest <= 12 * 50  # ten seconds' flushes, and one between two looks
    before = [await talk.log(claim.run.id) for claim in claims]
    assert [len(log) for log in before] == written
    await talk.crash()
    assert [await talk.log(claim.run.id) for claim in claims] == before


async def test_a_large_tail_becomes_a_segment(talk: Talk, stores: SQLiteStores) -> None:
    """What is in segments counts no more."""
    claim = await talk.start()
    sizes = (SEGMENT_BYTES, 1, SEGMENT_BYTES + 1, 1)
    for at, (size, segments) in enumerate(zip(sizes, (0, 1, 2, 2), strict=True), 1):
        assert await talk.append(claim, [b"-" * size], at=at)
        assert stores.count("segment") == segments, f"after record {at}"
    assert stores.query("SELECT min(count) FROM segment") == 1
    assert stores.query("SELECT max(count) FROM segment") == 2


async def test_an_old_tail_becomes_a_segment_at_the_next_write(
    talk: Talk, stores: SQLiteStores
) -> None:
    slow, other = await talk.start(chat="c1"), await talk.start(chat="c2")
    assert await talk.append(slow, records(3))
    talk.clock.advance(10)
    assert await talk.append(other, records(1))
    assert stores.count("segment") == 0
    talk.clock.advance(1)
    assert await talk.append(other, records(1), at=2)
    assert stores.count("segment") == 1
    assert await talk.append(slow, records(1), at=4)
    await talk.crash()
    assert await talk.log(slow.run.id) == records(3) + records(1)


@pytest.mark.promise("seen-is-durable")
async def test_trimming_the_journal_keeps_what_has_no_segment_yet(
    talk: Talk, stores: SQLiteStores
) -> None:
    first, second = await talk.start(chat="c1"), await talk.start(chat="c2")
    assert await talk.append(first, records(1))
    for at in (1, 2):
        talk.clock.advance(2)
        assert await talk.append(second, records(1), at=at)
    assert stores.count("segment") == 0
    await talk.crash()
    assert await talk.log(first.run.id) == records(1)
    assert await talk.log(second.run.id) == records(1) * 2


@pytest.mark.promise("bounded")
async def test_a_clock_that_is_set_back_holds_up_no_trimming(
    talk: Talk, stores: SQLiteStores
) -> None:
    """The next look at the ages comes with the next segment at the latest."""
    slow, fast = await talk.start(chat="c1"), await talk.start(chat="c2")
    assert await talk.append(slow, records(1))
    talk.clock.advance(-3600)
    for at in range(1, 301):
        assert await talk.append(fast, records(1, size=400), at=at)
        talk.clock.advance(0.02)
    assert stores.count("journal") < 100


@pytest.mark.promise("no-leak", "bounded")
async def test_ended_runs_expired_logs_and_deleted_chats_leave_no_rows(
    talk: Talk, stores: SQLiteStores
) -> None:
    ended, claim = await talk.start(chat="c1"), await talk.start(chat="c2")
    assert await talk.append(ended, records(3))
    await talk.end(ended)
    talk.clock.advance(2)
    assert await talk.append(claim, records(1))
    assert (stores.count("journal"), stores.count("segment")) == (1, 1)
    await talk.pass_time(2 * HOUR)
    assert await talk.expire() == 1
    assert stores.count("segment") == 0
    assert await talk.append(claim, records(60, size=900), at=2)
    for chat in ("c1", "c2"):
        await talk.store.chats.delete("ann", chat)
    for table in ("chat", "message", "run", "segment"):
        assert stores.count(table) == 0, table
    again = await talk.start()
    await talk.crash()  # the journal still holds what the deleted run wrote
    assert await talk.log(again.run.id) == []


@pytest.mark.promise("one-end")
async def test_a_reader_gets_the_end_of_a_run_whose_chat_is_deleted_next(talk: Talk) -> None:
    claim = await talk.start()
    reader = await talk.waiting(claim.run.id, 0)
    await talk.end(claim, at=1)
    await talk.store.chats.delete("ann", "c1")
    page = await bounded(reader)
    assert (list(page.records), page.status) == ([LAST], Status.FINISHED)


@pytest.mark.promise("no-leak")
async def test_cancelled_readers_are_removed(talk: Talk, stores: SQLiteStores) -> None:
    claim = await talk.start()
    reader = await talk.waiting(claim.run.id, 0)
    position = (await talk.store.feed.changes("ann", None)).position
    feeds = [
        asyncio.create_task(talk.store.feed.changes("ann", position, wait=LONG)) for _ in range(3)
    ]
    await stores.settle()
    assert stores.store is not None
    active, subscribers = stores.store.active.get(claim.run.id), stores.store.feed._subscribers
    assert active is not None
    assert (len(active.waiters), len(subscribers._subscribed["ann"])) == (1, 3)
    for waiting in (reader, *feeds):
        waiting.cancel()
    await asyncio.gather(*feeds, return_exceptions=True)
    assert subscribers._subscribed == {}
    await until(lambda: active.waiters == [])


async def test_values_of_the_store_itself_are_no_values_of_the_program(talk: Talk) -> None:
    for name in ("node", "seen", "wall", "check"):
        with pytest.raises(ValueError, match=name):
            await talk.store.meta(name, b"")


# --- the feeds ---------------------------------------------------------------------------------


def chat_of(owner: str) -> Chat:
    return Chat(id=f"{owner}-c", owner=owner, title="", created_at=0, updated_at=0)


@pytest.mark.promise("bounded")
async def test_the_feeds_of_all_owners_together_are_bounded() -> None:
    """The owner with the oldest last change is evicted first; its readers list anew."""
    feeds = SQLiteFeed(most=FEED_LENGTH)
    silent = (await feeds.changes("silent", None)).position
    feeds.publish("chat-created", chat_of("o0"))
    early = (await feeds.changes("o1", None)).position
    for number in range(1, FEED_LENGTH):
        feeds.publish("chat-created", chat_of(f"o{number}"))
    feeds.publish("chat-renamed", chat_of("o0"))  # one too many: o1 goes
    for owner, kinds in (("o0", ["chat-renamed"]), ("o2", ["chat-created"])):
        found = await feeds.changes(owner, early)
        assert ([change.kind for change in found.changes], found.complete) == (kinds, True)
    now = (await feeds.changes("o0", None)).position
    for owner, position in (("o1", early), ("silent", silent)):  # of silence nothing is kept
        assert await feeds.changes(owner, position) == Changes((), now, complete=False)
        assert (await feeds.changes(owner, now)).complete
    feeds.publish("chat-renamed", chat_of("o1"))  # back in the table, without what was evicted
    assert not (await feeds.changes("o1", early)).complete
    assert len((await feeds.changes("o1", now)).changes) == 1
    for number in range(10_000):
        feeds.publish("chat-created", chat_of(f"p{number}"))
        assert sum(len(feed.changes) for feed in feeds._feeds.values()) == feeds._kept
        assert feeds._kept <= FEED_LENGTH
    assert len(feeds._feeds) <= FEED_LENGTH


# --- the write-ahead log -----------------------------------------------------------------------

LIMIT = 1024 * 1024


async def write_much(talk: Talk, claim: Claim, bytes_: int, at: int) -> int:
    """Write without ever standing still; returns where the log ends."""
    for _ in range(bytes_ // 40_000):
        assert await talk.append(claim, records(10, size=4000), at=at)
        talk.clock.advance(0.05)
        at += 10
        await asyncio.sleep(0.001)
    return at


def size_of_wal(stores: SQLiteStores) -> int:
    return stores.path.with_name(f"{stores.path.name}-wal").stat().st_size


@pytest.fixture
def small_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_file, "_LARGE_WAL", LIMIT)
    monkeypatch.setattr(database_file, "_CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(database_file, "_BUSY_MILLISECONDS", 90_000)  # a single wait is too late


@pytest.mark.promise("bounded")
@pytest.mark.usefixtures("small_wal")
async def test_the_wal_stays_small_under_a_constant_writer(
    talk: Talk, stores: SQLiteStores
) -> None:
    claim = await talk.start()
    at, shrank, size = 1, 0, 0
    while shrank < 3:
        at = await write_much(talk, claim, 40_000, at)
        before, size = size, size_of_wal(stores)
        shrank += size < before
        assert size < 100 * LIMIT, f"it grows without end; it shrank {shrank} times"
    assert len(await talk.log(claim.run.id)) == at - 1


@pytest.mark.promise("bounded")
@pytest.mark.usefixtures("small_wal")
async def test_a_reader_that_stands_still_holds_up_no_writer(
    talk: Talk, stores: SQLiteStores
) -> None:
    claim = await talk.start()
    backup = sqlite3.connect(stores.path, isolation_level=None)
    backup.execute("BEGIN")
    backup.execute("SELECT count(*) FROM run").fetchone()
    async with within("the writer beside a reader that stands still"):
        at = await write_much(talk, claim, 8 * LIMIT, 1)
    assert size_of_wal(stores) > 4 * LIMIT
    backup.close()
    async with within("the write-ahead log to shrink", lambda: size_of_wal(stores)):
        while size_of_wal(stores) > 2 * LIMIT:
            at = await write_much(talk, claim, 100_000, at)
    assert len(await talk.log(claim.run.id)) == at - 1


def refuse_checkpoints(action: int, first: str | None, *_: str | None) -> int:
    """For `sqlite3.Connection.set_authorizer`."""
    is_one = action == sqlite3.SQLITE_PRAGMA and first == "wal_checkpoint"
    return sqlite3.SQLITE_DENY if is_one else sqlite3.SQLITE_OK


@pytest.mark.promise("outage")
@pytest.mark.parametrize("fails", [False, True])
async def test_a_write_still_waits_for_others_after_the_wal_was_restarted(
    talk: Talk, stores: SQLiteStores, fails: bool
) -> None:
    """The serving connection waits for no reader meanwhile, and as long as before afterwards."""
    assert stores.store is not None
    file = stores.store.file
    patience = file.connection.execute("PRAGMA busy_timeout").fetchone()
    assert patience > (0,)
    file.connection.set_authorizer(refuse_checkpoints if fails else None)
    await talk.send("m1")
    assert size_of_wal(stores) > 0
    file._finish_checkpoint.set()
    await talk.send("m2", queue=True)
    assert not file._finish_checkpoint.is_set()
    assert (size_of_wal(stores) == 0) is not fails
    assert file.connection.execute("PRAGMA busy_timeout").fetchone() == patience


@pytest.mark.parametrize(("name", "level"), [("NORMAL", 1), ("FULL", 2)])
async def test_what_survives_a_power_failure_can_be_chosen(
    tmp_path: Path, name: Synchronous, level: int
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/chats.db", synchronous=name)
    assert isinstance(store, SQLiteStore)
    assert store.file.connection.execute("PRAGMA synchronous").fetchone() == (level,)
    assert store.file.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.file.connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    await store.close()


@pytest.mark.promise("no-leak")
async def test_closing_leaves_no_thread_and_no_wal(talk: Talk, stores: SQLiteStores) -> None:
    await talk.answer()
    assert isinstance(talk.store, SQLiteStore)
    thread = talk.store.file._checkpointer
    assert thread.daemon, "a process that ends without closing the store would not end"
    await talk.store.close()
    assert not thread.is_alive()
    assert not stores.path.with_name(f"{stores.path.name}-wal").exists()
    await talk.store.close()


@pytest.mark.promise("owned")
async def test_a_new_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    try:
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        await store.close()
    assert set(modes.values()) == {0o600}, modes
