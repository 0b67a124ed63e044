"""A file that an earlier version made is opened, keeps what it holds, and is as a new one then."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.errors import CursorLost, StoreUnusable
from durable_llm_streams.stores.sqlite import SQLiteStore, SQLiteView
from durable_llm_streams.stores.sqlite.file import SCHEMA_VERSION
from tests.contract.harness import DAY, HOUR, Talk
from tests.migrating import migrate
from tests.sqlite_stores import SQLiteStores
from tests.upgraded import VERSION_2, assert_serves_on

VERSION_1 = Path(__file__).with_name("sqlite_version_1.sql").read_text()
ALL = ["early", "late", "older", "recent"]


@pytest.fixture
async def stores(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SQLiteStores]:
    """A file of version 1, or of the one that a test names, not open yet."""
    factory = SQLiteStores(tmp_path)
    connection = sqlite3.connect(factory.path)
    connection.executescript(getattr(request, "param", VERSION_1))
    connection.close()
    yield factory
    await factory.clean_up()


version_2 = pytest.mark.parametrize("stores", [VERSION_2], indirect=True, ids=["version-2"])
both = pytest.mark.parametrize("stores", [VERSION_1, VERSION_2], indirect=True, ids=[1, 2])


def shape(path: Path) -> dict[str, list[object]]:
    """The tables and indexes of a file, whatever way they were made."""
    connection = sqlite3.connect(path)
    try:
        objects = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        found: dict[str, list[object]] = {}
        for kind, name in objects:
            pragma = "table_info" if kind == "table" else "index_xinfo"
            found[f"{kind} {name}"] = connection.execute(f"PRAGMA {pragma}({name})").fetchall()
        found["partial"] = sorted(
            connection.execute(
                "SELECT name, substr(sql, instr(sql, 'WHERE')) FROM sqlite_master"
                " WHERE type = 'index' AND sql LIKE '%WHERE%'"
            )
        )
        return found
    finally:
        connection.close()


@both
async def test_an_old_file_becomes_what_a_new_one_is(stores: SQLiteStores, tmp_path: Path) -> None:
    await stores.open()
    await stores.clean_up()
    await SQLiteStore(tmp_path / "new.db").close()
    assert shape(stores.path) == shape(tmp_path / "new.db")
    assert stores.query("PRAGMA user_version") == SCHEMA_VERSION


async def test_an_old_file_can_be_looked_at_before_it_is_served(stores: SQLiteStores) -> None:
    view = SQLiteView(stores.path)
    assert [run.id for run in await view.newest()] == ["r4", "r3", "r2", "r1"]
    assert list((await view.read("r1", 0)).records) == [b'{"n":1}', b'{"type":"finish"}']
    await view.close()
    assert stores.query("PRAGMA user_version") == 1


@pytest.mark.promise("bounded")
@pytest.mark.parametrize("wrong", [0, 365 * DAY, -365 * DAY, -1_699_999_900.0])
async def test_nothing_of_an_old_file_goes_at_once_whatever_the_clock_says(
    stores: SQLiteStores, wrong: float
) -> None:
    stores.clock.jump(wrong)
    talk = Talk(stores, await stores.open())
    assert await talk.expire(log_age=11 * HOUR) == 0
    stores.clock.jump(-wrong)
    await talk.crash()
    assert await talk.expire(log_age=11 * HOUR) == 0
    assert sorted(await talk.chat_ids()) == ALL
    for number in range(1, 5):
        assert len(await talk.log(f"r{number}")) == 2
    assert (await talk.store.chats.snapshot("ann", "early")).chat.updated_at == 200_000


@pytest.mark.promise("bounded")
async def test_what_an_old_file_holds_is_kept_once_more_and_then_goes(
    stores: SQLiteStores,
) -> None:
    talk = Talk(stores, await stores.open())
    await talk.pass_time(HOUR)
    assert await talk.expire() == 0
    await talk.pass_time(300)
    assert await talk.expire() == 4
    with pytest.raises(CursorLost):
        await talk.store.log.read("r1", 0)
    await talk.pass_time(DAY)
    assert await talk.expire() == 4
    assert await talk.chat_ids() == []


@version_2
@pytest.mark.promise("owned", "takeover")
async def test_a_file_of_the_version_before_serves_on(stores: SQLiteStores) -> None:
    talk = Talk(stores, await stores.open())
    await assert_serves_on(talk)
    await talk.pass_time(HOUR + 60)
    assert await talk.expire() > 0, "what was brought along has its retention, too"


@version_2
async def test_an_upgrade_that_fails_changes_nothing(stores: SQLiteStores) -> None:
    """It is one transaction: here the disk is full in the middle of it."""
    connection = sqlite3.connect(stores.path)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    before = shape(stores.path)

    def with_little_space(*args: Any, **options: Any) -> sqlite3.Connection:
        opened: sqlite3.Connection = _connect(*args, **options)
        opened.execute(f"PRAGMA max_page_count={pages}").fetchall()
        return opened

    _connect = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", with_little_space)
        with pytest.raises(StoreUnusable, match="Free some space"):
            await stores.open()
    assert (shape(stores.path), stores.query("PRAGMA user_version")) == (before, 2)
    await assert_serves_on(Talk(stores, await stores.open()))


@version_2
@pytest.mark.promise("migration")
async def test_a_file_of_the_version_before_is_migrated(
    stores: SQLiteStores, tmp_path: Path
) -> None:
    outcome = await migrate(f"sqlite:///{stores.path}", f"sqlite:///{tmp_path}/copy.db")
    assert (outcome.copied, outcome.compared, outcome.conflicts) == (4, 4, [])
    stores.path = tmp_path / "copy.db"
    await assert_serves_on(Talk(stores, await stores.open()))
