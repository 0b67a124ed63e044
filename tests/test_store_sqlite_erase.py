"""What is deleted leaves the SQLite file, its WAL and its journal, whatever SQLite's build does."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
from pathlib import Path

import pytest

from durable_llm_streams.model import Claim, Status
from durable_llm_streams.store import Append
from durable_llm_streams.stores.sqlite import eraser
from durable_llm_streams.stores.sqlite import file as database_file
from durable_llm_streams.stores.sqlite.stale_bytes import StaleBytes, stale_space, truncate_wal
from tests.contract.harness import DAY, HOUR, Talk, records
from tests.sqlite_stores import SQLiteStores, stores, talk
from tests.waiting import until

__all__ = ["stores", "talk"]

SECRET = re.compile(rb"SECRET-\w+")


def secrets(path: Path) -> set[bytes]:
    """The secret words in a store's files."""
    files = [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]
    return {word for each in files if each.exists() for word in SECRET.findall(each.read_bytes())}


async def gone(stores: SQLiteStores) -> None:
    await until(lambda: secrets(stores.path), lambda words: not words, "the words to be erased")


async def at_rest(stores: SQLiteStores) -> None:
    """Nothing that was requested earlier is still to be erased."""
    assert stores.store is not None
    task, file = stores.store._eraser._task, stores.store.file
    if task is not None:
        await asyncio.wait([task])
    await until(lambda: not file._erase.is_set(), what="the last erasing to end")


async def secret_chat(talk: Talk, beside: Claim, chat: str = "c1", *, renamed: bool = True) -> None:
    """A chat with secrets everywhere; what it writes shares journal rows with another run."""
    store, names = talk.store, iter("abcdefghijk")
    ends = [Status.FINISHED, Status.STOPPED, Status.FAILED, Status.FINISHED]
    for number, status in enumerate(ends):
        place = {"place": "edit", "anchor": f"{chat}-0"} if number == 3 else {}
        claim = await talk.start(
            f"{chat}-{number}",
            chat,
            title="SECRET-title",
            body=b'{"text":"SECRET-%s"}' % next(names).encode(),
            **place,
        )
        for at in range(1, 60, 20):
            new = records(20, 500, f"SECRET-{next(names)}")
            there = (await store.log.read(beside.run.id, 0)).next_seq
            other = Append(beside.run.id, beside.epoch, there, records(1))
            assert all(await store.log.append([Append(claim.run.id, claim.epoch, at, new), other]))
        await talk.end(claim, status=status, body=b'{"text":"%s"}' % (b"SECRET-answer " * 900))
        names = iter("abcdefghijk")
        if renamed:
            await store.chats.rename("ann", chat, f"SECRET-renamed{number}" * (number + 1))


@pytest.mark.promise("erased")
def test_erasing_takes_less_than_five_seconds_on_an_idle_server() -> None:
    assert eraser._WAIT_SECONDS + 4 * database_file._CHECKPOINT_SECONDS < 5


@pytest.mark.promise("erased")
async def test_deleted_words_are_zeroed_whatever_the_build_says(stores: SQLiteStores) -> None:
    file = (await stores.open()).file
    assert file.connection.execute("PRAGMA secure_delete").fetchone() == (1,)


@pytest.mark.promise("erased")
@pytest.mark.parametrize("beside_is_running", [True, False])
async def test_a_deleted_chat_leaves_no_word_in_the_files(
    talk: Talk, stores: SQLiteStores, beside_is_running: bool
) -> None:
    beside = await talk.start(chat="other")
    await secret_chat(talk, beside, "renamed")
    await talk.store.chats.delete("ann", "renamed")
    await gone(stores)
    await at_rest(stores)
    await secret_chat(talk, beside, renamed=False)  # only its deletion asks for erasing it
    if not beside_is_running:
        await talk.end(beside)
    assert len(secrets(stores.path)) > 5
    await talk.store.chats.delete("ann", "c1")
    await gone(stores)
    for _ in range(2):
        assert len(await talk.log(beside.run.id)) >= 24
        await talk.crash()
    assert await talk.chat_ids() == ["other"]


@pytest.mark.promise("erased")
async def test_a_replaced_title_leaves_the_files(
    talk: Talk, stores: SQLiteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without stale bytes, too, the WAL is emptied."""
    monkeypatch.setattr(StaleBytes, "find", lambda *_: iter(()))
    await talk.answer(title="SECRET-old")
    await talk.store.chats.rename("ann", "c1", "new")
    await gone(stores)


@pytest.mark.promise("erased")
async def test_retention_leaves_no_word_in_the_files(talk: Talk, stores: SQLiteStores) -> None:
    beside = await talk.start(chat="other")
    for number in range(3):
        await secret_chat(talk, beside, f"old{number}")
    await at_rest(stores)
    await secret_chat(talk, beside, "late", renamed=False)  # nothing else asks for erasing it
    await talk.pass_time(DAY + HOUR)
    assert await talk.expire(chat_age=DAY) > 3
    await gone(stores)


@pytest.mark.promise("erased")
async def test_a_clean_end_right_after_a_deletion_erases(talk: Talk, stores: SQLiteStores) -> None:
    beside = await talk.start(chat="other")
    await secret_chat(talk, beside)
    await talk.store.chats.delete("ann", "c1")
    await stores.clean_up()
    assert not secrets(stores.path)


@pytest.mark.promise("erased")
async def test_the_process_after_a_kill_erases(talk: Talk, stores: SQLiteStores) -> None:
    beside = await talk.start(chat="other")
    await secret_chat(talk, beside)
    await talk.store.chats.delete("ann", "c1")
    talk.store = await stores.crash()
    assert secrets(stores.path)
    await talk.store.open()
    await gone(stores)


@pytest.mark.promise("erased")
async def test_a_deleted_chat_is_erased_while_others_are_written(
    talk: Talk, stores: SQLiteStores
) -> None:
    beside = await talk.start(chat="other")
    await secret_chat(talk, beside)
    at = (await talk.store.log.read(beside.run.id, 0)).next_seq

    async def write() -> None:
        nonlocal at
        while True:
            assert await talk.append(beside, records(5, 200), at)
            at += 5
            talk.clock.advance(0.002)
            await asyncio.sleep(0.002)

    writer = asyncio.create_task(write())
    await talk.store.chats.delete("ann", "c1")
    await gone(stores)
    writer.cancel()
    await asyncio.wait([writer])
    assert writer.cancelled()
    assert len(await talk.log(beside.run.id)) == at - 1


@pytest.mark.promise("erased")
async def test_erasing_waits_for_a_reader_that_stands_still(
    talk: Talk, stores: SQLiteStores
) -> None:
    beside = await talk.start(chat="other")
    await secret_chat(talk, beside)
    backup = sqlite3.connect(stores.path, isolation_level=None)
    backup.execute("BEGIN")
    backup.execute("SELECT count(*) FROM run").fetchone()
    await talk.store.chats.delete("ann", "c1")
    assert stores.store is not None
    await until(stores.store.file._erase.is_set)
    await talk.answer(chat="meanwhile")  # no write is held up
    assert backup.execute("SELECT title FROM chat WHERE id = 'c1'").fetchone()
    assert secrets(stores.path)
    backup.close()
    await gone(stores)


@pytest.mark.promise("erased", "feed")
async def test_the_feed_forgets_the_titles_of_a_deleted_chat(talk: Talk) -> None:
    before = (await talk.store.feed.changes("ann", None)).position
    await talk.answer(title="SECRET-title")
    middle = (await talk.store.feed.changes("ann", before)).changes[0].position
    await talk.store.chats.delete("ann", "c1")
    for position in (before, middle):
        found = await talk.store.feed.changes("ann", position)
        assert found.complete
        assert [change.kind for change in found.changes] == ["chat-deleted"]


# --- stale bytes in pages ----------------------------------------------------------------------


def file_with_stale_bytes(path: Path) -> sqlite3.Connection:
    """A file whose rows have moved between pages before they were deleted."""
    rng = random.Random(1)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA secure_delete=ON").fetchall()
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID")
    connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, data) WITHOUT ROWID")
    for key in rng.sample(range(2000), 1000):
        word = b"SECRET-x" if key % 7 else b"public"
        data = word * rng.randrange(1, 100)
        connection.execute("INSERT INTO t VALUES (?, ?)", (key, data))
    connection.execute("DELETE FROM t WHERE instr(data, 'SECRET')")
    assert truncate_wal(connection)
    return connection


@pytest.mark.promise("erased")
def test_stale_bytes_of_rows_that_moved_are_zeroed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    serving = file_with_stale_bytes(path)
    assert secrets(path), "SQLite has left nothing: the test shows nothing"
    rows = serving.execute("SELECT * FROM t").fetchall()
    stale, helper = StaleBytes(path), sqlite3.connect(path, isolation_level=None, timeout=0)
    zero = stale._zero

    def zero_while_others_read(number: int) -> None:
        assert serving.execute("SELECT * FROM t").fetchall() == rows
        zero(number)

    stale._zero = zero_while_others_read  # type: ignore[method-assign]
    for pages in stale.find(lambda: False):
        assert stale.zero(helper, pages)
    assert not secrets(path)
    assert serving.execute("SELECT * FROM t").fetchall() == rows
    assert serving.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    serving.execute("UPDATE t SET data = CAST(upper(data) AS BLOB)")
    assert truncate_wal(serving)
    assert not secrets(path), "a page that was in memory has brought them back"
    assert not list(stale.find(lambda: True))
    helper.close()
    serving.close()
    stale.close()


def test_stale_bytes_wait_while_another_connection_writes_or_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    serving = file_with_stale_bytes(path)
    stale, helper = StaleBytes(path), sqlite3.connect(path, isolation_level=None, timeout=0)
    before = path.read_bytes()
    for statement in ("BEGIN IMMEDIATE", "BEGIN"):
        serving.execute(statement)
        serving.execute("SELECT * FROM t").fetchone()
        if statement == "BEGIN":
            helper.execute("INSERT INTO meta VALUES ('a', 1)")
        for pages in stale.find(lambda: False):
            assert not stale.zero(helper, pages)
        assert path.read_bytes() == before
        serving.execute("ROLLBACK")
    for connection in (helper, serving, stale):
        connection.close()


@pytest.mark.parametrize(
    "page",
    [
        b"\0\0\0\7" + b"words " * 600,  # an overflow page
        b"\x0d\0\0\0\1\0\x0b\0\0\0\1words" + bytes(4000),  # a pointer before the first cell
        b"\x0d\0\0\xff\xff\0\x10\0" + b"words " * 600,  # more cells than there is room for
        b"\x0d\0\0\0\0\x10\0\0" + bytes(4088),  # nothing to zero
    ],
)
def test_pages_that_are_no_trees_or_have_no_stale_bytes_are_left_alone(page: bytes) -> None:
    assert stale_space(page) is None


def test_the_unused_space_of_a_page_is_between_pointers_and_cells() -> None:
    page = b"\x0d\0\0\0\1\x0f\xf0\0" + b"\x0f\xf0" + b"stale" + bytes(4065) + b"a row of the t.."
    assert len(page) == 4096
    assert stale_space(page) == slice(10, 0x0FF0)


def test_a_file_with_pages_of_another_kind_is_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA auto_vacuum=FULL")
    connection.close()
    file_with_stale_bytes(path).close()
    assert secrets(path)
    stale = StaleBytes(path)
    assert not list(stale.find(lambda: False))
    stale.close()
